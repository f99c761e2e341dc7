#!/usr/bin/env bash
# customerio-node 5.2.0, the client of Customer.io's Track API: it parses the body
# before it looks at the status. A 503 with a page of HTML, as proxies and load
# balancers send it, is therefore an error of parsing, which is not tried again, while
# a 503 with JSON or with no body is. Likewise a 200 with the body OK rejects the
# promise although the event was accepted, so that a caller who repeats sends it twice.
#
# Expected: the status decides; 503 is tried again, whatever its body.
# Seen:
#   503 with JSON, then 200: 2 requests, fulfilled
#   503 with nothing, then 200: 2 requests, fulfilled
#   503 with HTML, then 200: 1 request, rejected: Unable to parse JSON
#   200 with OK: 1 request, rejected: Unable to parse JSON
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund customerio-node@5.2.0
cat >main.js <<'EOF'
const http = require('node:http')
const { TrackClient } = require('customerio-node')

async function run (name, ...answers) {
  let requests = 0
  const server = http.createServer(async (req, res) => {
    for await (const _ of req);
    const [status, body] = answers[requests++]
    res.writeHead(status).end(body)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = new TrackClient('site', 'key', { url: `http://127.0.0.1:${server.address().port}/api/v1` })
  const outcome = await client.track('ada', { name: 'A' }).then(() => 'fulfilled', (error) => 'rejected: ' + error.message.split('.')[0])
  console.log(`${name}: ${requests} request${requests === 1 ? '' : 's'}, ${outcome}`)
}

async function main () {
  await run('503 with JSON, then 200', [503, '{"error":"busy"}'], [200, '{}'])
  await run('503 with nothing, then 200', [503, ''], [200, '{}'])
  await run('503 with HTML, then 200', [503, '<html>busy</html>'], [200, '{}'])
  await run('200 with OK', [200, 'OK'])
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
503 with JSON, then 200: 2 requests, fulfilled
503 with nothing, then 200: 2 requests, fulfilled
503 with HTML, then 200: 1 request, rejected: Unable to parse JSON
200 with OK: 1 request, rejected: Unable to parse JSON
EOF
