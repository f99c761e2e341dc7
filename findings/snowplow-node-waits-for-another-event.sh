#!/usr/bin/env bash
# @snowplow/node-tracker 4.8.0: retryFailedRequests is true by default, but no timer is
# behind it. An event that met a 503 is sent again when another one is tracked, or when
# the program calls flush. The last event before a quiet night waits until morning, in
# memory.
#
# Expected: a 503 is tried again after a while, even if the program does nothing.
# Seen, from a server that answers the first request with 503:
#   10 seconds after event A: 1 request, A is not delivered
#   after event B: A and B are delivered
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @snowplow/node-tracker@4.8.0
cat >main.js <<'EOF'
const http = require('node:http')
const { newTracker, buildStructEvent } = require('@snowplow/node-tracker')

let requests = 0
const delivered = new Set()
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (requests++ === 0) return res.writeHead(503).end()
  for (const event of JSON.parse(body).data) delivered.add(event.se_ac)
  res.end()
})
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

server.listen(0, '127.0.0.1', async () => {
  const tracker = newTracker({ namespace: 'shop', appId: 'shop', encodeBase64: false },
    { endpoint: `http://127.0.0.1:${server.address().port}`, eventMethod: 'post', bufferSize: 1 })
  tracker.track(buildStructEvent({ category: 'c', action: 'A' }))
  await wait(10)
  console.log(`10 seconds after event A: ${requests} request, A is ${delivered.has('A') ? '' : 'not '}delivered`)
  tracker.track(buildStructEvent({ category: 'c', action: 'B' }))
  await wait(5)
  console.log(`after event B: ${[...delivered].join(' and ')} are delivered`)
  process.exit(0)
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
10 seconds after event A: 1 request, A is not delivered
after event B: A and B are delivered
EOF
