#!/usr/bin/env bash
# @tinybirdco/flock.js 1.4.1, Tinybird's script for pages: before an event is sent, properties with certain
# names (email, phone, address, order, payment, user and others) are masked. That is done to the text of
# the JSON, by a pattern that knows a text of one character or more and a whole number. An empty text
# makes it take what comes up to the next quotation mark. Of a number with a point it masks what is
# before the point, and of a text with a quotation mark in it what is before that. What comes out is
# no JSON any more, and the script, which reads it back, fails and sends nothing: all events of a
# visitor without a phone, and each payment that is not of a round price. What is an object or a
# number below zero is not masked at all, so that a user of {"name": ...} goes out as it is.
#
# Expected: what has such a name is masked, and the event is sent.
# Seen, of trackEvent("sale", ...), what is sent of it:
#   {"payment":12,"plan":"gold"}: {"payment":"********","plan":"gold"}
#   {"payment":12.99,"plan":"gold"}: nothing
#   {"order":-1,"plan":"gold"}: {"order":-1,"plan":"gold"}
#   {"phone":"555","plan":"gold"}: {"phone":"********","plan":"gold"}
#   {"phone":"","plan":"gold"}: nothing
#   {"address":"5 \"Rose\" Lane","plan":"gold"}: nothing
#   {"user":{"name":"Ada"},"plan":"gold"}: {"user":{"name":"Ada"},"plan":"gold"}
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @tinybirdco/flock.js@1.4.1
cat >main.js <<'EOT'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const events = [
  { payment: 12, plan: 'gold' },
  { payment: 12.99, plan: 'gold' },
  { order: -1, plan: 'gold' },
  { phone: '555', plan: 'gold' },
  { phone: '', plan: 'gold' },
  { address: '5 "Rose" Lane', plan: 'gold' },
  { user: { name: 'Ada' }, plan: 'gold' }
]
const page = `<!DOCTYPE html><script src="/flock.js" data-host="" data-proxy="/proxy" data-token="token"></script>
<script>
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
async function main () {
  for (const [i, event] of ${JSON.stringify(events)}.entries()) {
    await Tinybird.trackEvent('sale ' + i, event).catch(() => {}) // what the script itself leaves to the console
  }
  await wait(1000)
  await fetch('/end')
}
main()
</script>`

const seen = {}
const server = http.createServer(async (req, res) => {
  if (req.url === '/') return res.setHeader('Content-Type', 'text/html').end(page)
  if (req.url === '/flock.js') {
    res.setHeader('Content-Type', 'text/javascript')
    return res.end(fs.readFileSync('node_modules/@tinybirdco/flock.js/dist/index.js'))
  }
  let body = ''
  for await (const part of req) body += part
  if (req.url === '/proxy/api/tracking') {
    const { action, payload } = JSON.parse(body)
    seen[action] = payload
  }
  if (req.url === '/end') {
    for (const [i, event] of events.entries()) console.log(`${JSON.stringify(event)}: ${seen['sale ' + i] || 'nothing'}`)
    browser.on('exit', () => process.exit())
    browser.kill()
  }
  res.end()
})
let browser
server.listen(0, '127.0.0.1', () => {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--user-data-dir=' + process.cwd() + '/profile', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
})
EOT
timeout 60 node main.js "$chromium" | tee seen
diff - seen <<'EOT'
{"payment":12,"plan":"gold"}: {"payment":"********","plan":"gold"}
{"payment":12.99,"plan":"gold"}: nothing
{"order":-1,"plan":"gold"}: {"order":-1,"plan":"gold"}
{"phone":"555","plan":"gold"}: {"phone":"********","plan":"gold"}
{"phone":"","plan":"gold"}: nothing
{"address":"5 \"Rose\" Lane","plan":"gold"}: nothing
{"user":{"name":"Ada"},"plan":"gold"}: {"user":{"name":"Ada"},"plan":"gold"}
EOT
