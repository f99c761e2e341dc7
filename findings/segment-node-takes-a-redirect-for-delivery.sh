#!/usr/bin/env bash
# @segment/analytics-node 3.1.0: where the host answers the POST of a batch with 301,
# such as to https or to a path with a slash, the SDK follows it with a GET that has no
# body. The 200 of that counts as delivered: the callback has no error, and the events
# are gone. It is what fetch does; the SDK does not look.
#
# Seen:
#   POST /v1/batch 301
#   GET /v1/batch/ 200, a body of 0 bytes
#   the callback: no error
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @segment/analytics-node@3.1.0
cat >main.js <<'EOF'
const http = require('node:http')
const { Analytics } = require('@segment/analytics-node')

const server = http.createServer(async (req, res) => {
  let size = 0
  for await (const chunk of req) size += chunk.length
  if (req.url === '/v1/batch') {
    console.log(`${req.method} ${req.url} 301`)
    res.writeHead(301, { Location: '/v1/batch/' }).end()
  } else {
    console.log(`${req.method} ${req.url} 200, a body of ${size} bytes`)
    res.end('{"success":true}')
  }
})
server.listen(0, '127.0.0.1', () => {
  const analytics = new Analytics({ writeKey: 'key', host: `http://127.0.0.1:${server.address().port}`, flushAt: 1 })
  analytics.track({ userId: 'ada', event: 'A' }, (error) => {
    console.log('the callback: ' + (error ? 'an error' : 'no error'))
    process.exit(0)
  })
})
EOF
node main.js | tee seen
diff - seen <<'EOF'
POST /v1/batch 301
GET /v1/batch/ 200, a body of 0 bytes
the callback: no error
EOF
