#!/usr/bin/env bash
# @tell-rs/browser 0.3.2: every batch is sent by fetch with keepalive, not only when the page is left.
# Browsers let a page have 64 KiB of such bodies under way, those of all its requests together, and
# refuse what is beyond as they refuse a server that is not there. The SDK takes that for a failure
# which no repetition helps, and drops the batch, though the server, the network and the page are
# well and 5 retries are the default. So of events of 4 KB, such as those with an error's stack,
# a batch of 20, the default size, is always lost. If batches have 10, one of two that are sent
# at a time is. Only onError is told, that the connection failed; flush is fulfilled.
#
# Expected: a batch is no larger than a page may send, and waits for the one before.
# Seen, of 20 events with a text of so many bytes, and flush:
#   1000 bytes, batchSize 20: 20 arrived, flush is fulfilled, errors: none
#   4000 bytes, batchSize 20: 1 arrived, flush is fulfilled, errors: Failed to connect
#   4000 bytes, batchSize 10: 10 arrived, flush is fulfilled, errors: Failed to connect
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @tell-rs/browser@0.3.2
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const page = (bytes, batchSize) => `<!DOCTYPE html><script src="/tell.js"></script><script>
  const errors = []
  const onError = (error) => errors.push(error.message.split(' to http')[0])
  const tell = Tell.default
  tell.configure('0123456789abcdef0123456789abcdef', { endpoint: location.origin, botDetection: false, batchSize: ${batchSize}, onError })
  for (let i = 0; i < 20; i++) tell.track('Viewed', { text: 'x'.repeat(${bytes}) })
  const told = (how) => setTimeout(() => fetch('/told', { method: 'POST', body: 'flush is ' + how + ', errors: ' + ([...new Set(errors)].join(', ') || 'none') }), 2000)
  tell.flush().then(() => told('fulfilled'), () => told('rejected'))
</script>`

async function run (bytes, batchSize) {
  let arrived = 0
  let tell
  const told = new Promise((resolve) => { tell = resolve })
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    if (req.url === '/') res.setHeader('Content-Type', 'text/html').write(page(bytes, batchSize))
    if (req.url === '/tell.js') res.write(fs.readFileSync('node_modules/@tell-rs/browser/dist/tell.global.js'))
    if (req.url === '/told') tell(body)
    if (req.url.startsWith('/v1/events')) {
      arrived += body.split('\n').filter((line) => JSON.parse(line).event === 'Viewed').length
      res.statusCode = 202
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    res.end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    `--user-data-dir=${fs.mkdtempSync(`${process.cwd()}/profile-`)}`, '--remote-debugging-port=0',
    `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  const how = await told
  console.log(`${bytes} bytes, batchSize ${batchSize}: ${arrived} arrived, ${how}`)
  const gone = new Promise((resolve) => browser.on('exit', resolve))
  browser.kill()
  await gone
  server.close()
  server.closeAllConnections()
}

run(1000, 20)
  .then(() => run(4000, 20))
  .then(() => run(4000, 10))
EOF
timeout 150 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
1000 bytes, batchSize 20: 20 arrived, flush is fulfilled, errors: none
4000 bytes, batchSize 20: 1 arrived, flush is fulfilled, errors: Failed to connect
4000 bytes, batchSize 10: 10 arrived, flush is fulfilled, errors: Failed to connect
EOF
