#!/usr/bin/env bash
# @amplitude/analytics-node 1.5.73: with a custom serverUrl, the status of an
# answer counts only if its body is not JSON. If it is, the member "code" of the body
# counts, and a body without one is a failure that is tried again. So a server that
# accepts a batch with {"success":true} gets it as often as flushMaxRetries says, which
# is 12 by default, and the promise of track then says that the event was rejected. On
# the other hand, a connection that was cut is not tried again at all.
#
# Expected: any 200 is a delivery; a cut connection is tried again, as a 503 is.
# Seen, with flushMaxRetries 3:
#   200 {"code":200}: 1 request, then 200 Event tracked successfully
#   200 OK: 1 request, then 200 Event tracked successfully
#   200 {"success":true}: 3 requests with one insert_id, then 500 Event rejected due to exceeded retry count
#   503, then 200 OK: 2 requests with one insert_id, then 200 Event tracked successfully
#   cut, then 200 OK: 1 request, then 0 Unexpected error occurred
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @amplitude/analytics-node@1.5.73
cat >main.js <<'EOF'
const http = require('node:http')
const { createInstance } = require('@amplitude/analytics-node')

const ok = (res) => res.end('OK')
const answers = {
  '200 {"code":200}': [(res) => res.end('{"code":200}')],
  '200 OK': [ok],
  '200 {"success":true}': [(res) => res.end('{"success":true}')],
  '503, then 200 OK': [(res) => res.writeHead(503).end(), ok],
  'cut, then 200 OK': [(res) => res.socket.destroy(), ok]
}

async function run (name) {
  let requests = 0
  const ids = new Set()
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    for (const event of JSON.parse(body).events) ids.add(event.insert_id)
    const answer = answers[name][requests++] || answers[name].at(-1)
    answer(res)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = createInstance()
  await client.init('key', {
    serverUrl: `http://127.0.0.1:${server.address().port}/batch`, flushIntervalMillis: 100, flushMaxRetries: 3, logLevel: 0
  }).promise
  const result = await client.track('A', {}, { user_id: 'ada_lovelace' }).promise
  const count = requests === 1 ? '1 request' : `${requests} requests` + (ids.size === 1 ? ' with one insert_id' : '')
  console.log(`${name}: ${count}, then ${result.code} ${result.message}`)
}

async function main () {
  for (const name of Object.keys(answers)) await run(name)
  process.exit(0)
}
main()
EOF
timeout 120 node main.js | tee seen
diff - seen <<'EOF'
200 {"code":200}: 1 request, then 200 Event tracked successfully
200 OK: 1 request, then 200 Event tracked successfully
200 {"success":true}: 3 requests with one insert_id, then 500 Event rejected due to exceeded retry count
503, then 200 OK: 2 requests with one insert_id, then 200 Event tracked successfully
cut, then 200 OK: 1 request, then 0 Unexpected error occurred
EOF
