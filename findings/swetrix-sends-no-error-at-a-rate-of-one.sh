#!/usr/bin/env bash
# swetrix 4.6.1: sampleRate of trackErrors is by its doc the part of the errors that is sent, 1 by
# default, and 1 is what it recommends for testing. But the comparison with a random number
# is the wrong way round. With 1, which the README's example has, no error is ever sent;
# with 0 each is, and with 0.1 nine of ten. Only without the option it is as the doc says. A site
# that has no errors and one that has this option look the same.
#
# Expected: with 1 all are sent, with 0 none.
# Seen, of 50 errors in a page:
#   no sampleRate: 50 errors sent
#   sampleRate 1: 0 errors sent
#   sampleRate 0: 50 errors sent
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund swetrix@4.6.1
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const rates = { 'no sampleRate': null, 'sampleRate 1': 1, 'sampleRate 0': 0 }
const page = `<!DOCTYPE html><script src="/swetrix.js"></script><script>
const rate = new URL(location).searchParams.get('rate')
swetrix.init('project', { apiURL: location.origin, devMode: true })
swetrix.trackErrors(rate === null ? undefined : { sampleRate: Number(rate) })
for (let i = 0; i < 50; i++) setTimeout(() => { throw new Error('broken') })
</script>`
const frames = `<!DOCTYPE html><body><script>
onload = async () => {
  for (const [name, rate] of Object.entries(${JSON.stringify(rates)})) {
    const frame = document.createElement('iframe')
    frame.src = rate === null ? '/page' : '/page?rate=' + rate
    document.body.append(frame)
    await new Promise((resolve) => setTimeout(resolve, 3000)) // until all is sent
    await fetch('/say', { method: 'POST', body: name })
  }
  await fetch('/end')
}
</script>`

let sent = 0
let browser
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  res.setHeader('Content-Type', 'text/html')
  if (req.url === '/') return res.end(frames)
  if (req.url.startsWith('/page')) return res.end(page)
  if (req.url === '/swetrix.js') return res.end(fs.readFileSync('node_modules/swetrix/dist/swetrix.js'))
  if (req.url === '/error') sent++
  if (req.url === '/say') {
    console.log(`${body}: ${sent} errors sent`)
    sent = 0
  }
  if (req.url === '/end') browser.kill()
  res.end('{}')
}).listen(0, '127.0.0.1', () => {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--user-data-dir=' + process.cwd() + '/profile', '--disable-blink-features=AutomationControlled', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  browser.on('exit', () => process.exit(0))
})
EOF
timeout 100 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
no sampleRate: 50 errors sent
sampleRate 1: 0 errors sent
sampleRate 0: 50 errors sent
EOF
