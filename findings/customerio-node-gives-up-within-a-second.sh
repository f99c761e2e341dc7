#!/usr/bin/env bash
# @customerio/cdp-analytics-node 0.5.9: against a server that answers 429 with
# Retry-After: 30, a batch is tried four times in about a second and dropped. The
# header is not heeded. Nor does a batch say when it was sent (sentAt), so that nobody
# can tell a wrong clock.
#
# Seen:
#   4 requests within 5 seconds, then an error, though the server said: not for 30 seconds
#   sentAt: none
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @customerio/cdp-analytics-node@0.5.9
cat >main.js <<'EOF'
const http = require('node:http')
const { Analytics } = require('@customerio/cdp-analytics-node')

let requests = 0
let sentAt = 'none'
const server = http.createServer(async (req, res) => {
  requests++
  let body = ''
  for await (const chunk of req) body += chunk
  const batch = JSON.parse(body)
  if (batch.sentAt || batch.batch.some((m) => m.sentAt)) sentAt = 'some'
  res.writeHead(429, { 'Retry-After': '30' }).end()
})
server.listen(0, '127.0.0.1', () => {
  const started = Date.now()
  const analytics = new Analytics({ writeKey: 'key', host: `http://127.0.0.1:${server.address().port}`, maxEventsInBatch: 1 })
  analytics.on('error', () => {
    const when = Date.now() - started < 5000 ? 'within 5 seconds' : 'in more than 5 seconds'
    console.log(`${requests} requests ${when}, then an error, though the server said: not for 30 seconds`)
    console.log('sentAt: ' + sentAt)
    process.exit(0)
  })
  analytics.track({ userId: 'ada', event: 'A' })
})
EOF
node main.js | tee seen
diff - seen <<'EOF'
4 requests within 5 seconds, then an error, though the server said: not for 30 seconds
sentAt: none
EOF
