#!/usr/bin/env bash
# ours-web-sdk 1.0.1 (Ours Privacy): events that are answered with 503, or whose connection fails, are
# put back into the queue, to be sent again. But what is put back is the form in which they are
# sent, and what is taken out of the queue is held for a call of the page, such as
# ["track", "Bought"]. Nothing of the one has the form of the other, so that at the next turn all
# of it is dropped, and no request is made. An event has one try, and nobody is told.
#
# Expected: the events are sent again.
# Seen, of an event every 4 seconds, where the server fails at B for half a second:
#   503: A, C arrived
#   cut connection: A, C arrived
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund ours-web-sdk@1.0.1
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const page = `<!DOCTYPE html><script type="module">
import ours from '/ours.js'
ours.init('token', { custom_domain: location.origin })
for (const name of ['A', 'B', 'C']) {
  ours.track(name)
  await new Promise((resolve) => setTimeout(resolve, 4000)) // it looks at its queue every 3 seconds
}
await new Promise((resolve) => setTimeout(resolve, 4000))
await fetch('/end')
</script>`

let failure = '503'
let failing
let arrived = []
let browser
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (req.url === '/') return res.setHeader('Content-Type', 'text/html').end(page)
  if (req.url === '/ours.js') {
    res.setHeader('Content-Type', 'text/javascript')
    return res.end(fs.readFileSync('node_modules/ours-web-sdk/dist/npm-sdk.mjs'))
  }
  if (req.url.startsWith('/ingest')) {
    const events = JSON.parse(body).data.map((item) => item.event).filter((name) => /^[ABC]$/.test(name))
    failing ||= events.includes('B') && Date.now() + 500 // Chromium itself repeats a request once, at once
    if (events.includes('B') && Date.now() < failing) {
      if (failure !== '503') return req.socket.destroy()
      res.statusCode = 503
    } else {
      arrived.push(...events)
    }
  }
  if (req.url === '/end') {
    console.log(`${failure}: ${arrived.join(', ')} arrived`)
    browser.kill()
  }
  res.end('{}')
}).listen(0, '127.0.0.1', () => open())

function open () {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--user-data-dir=' + process.cwd() + '/profile', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  browser.on('exit', () => {
    if (failure !== '503') process.exit(0)
    failure = 'cut connection'
    failing = undefined
    arrived = []
    open()
  })
}
EOF
timeout 100 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
503: A, C arrived
cut connection: A, C arrived
EOF
