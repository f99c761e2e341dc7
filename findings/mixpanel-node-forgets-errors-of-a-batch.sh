#!/usr/bin/env bash
# mixpanel 0.24.0 (Node): track_batch and import_batch cut a list into requests of 50
# events. With max_concurrent_requests, which is there for long lists, the requests go
# in groups, and the callback is given the errors of the last group only. What failed
# in an earlier group is neither told nor sent again. Without the option, all errors
# are told.
#
# Expected: the callback has an error whichever request failed, with the option as without.
# Seen, of 100 events in 2 requests, the first of which is answered with 503:
#   no option: 50 events accepted, 1 error
#   max_concurrent_requests 1: 50 events accepted, no error
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund mixpanel@0.24.0
cat >main.js <<'EOF'
const http = require('node:http')
const Mixpanel = require('mixpanel')

async function run (name, options) {
  let requests = 0
  let accepted = 0
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    if (requests++ === 0) return res.writeHead(503).end('busy')
    accepted += JSON.parse(Buffer.from(body.replace('data=', ''), 'base64')).length
    res.end('1')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = Mixpanel.init('token', { host: `127.0.0.1:${server.address().port}`, protocol: 'http' })
  const events = Array.from({ length: 100 }, (_, i) => ({ event: 'A', properties: { distinct_id: 'ada', n: i } }))
  const errors = await new Promise((resolve) => client.track_batch(events, options, resolve))
  console.log(`${name}: ${accepted} events accepted, ${errors ? errors.length + ' error' : 'no error'}`)
}

async function main () {
  await run('no option', {})
  await run('max_concurrent_requests 1', { max_concurrent_requests: 1 })
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
no option: 50 events accepted, 1 error
max_concurrent_requests 1: 50 events accepted, no error
EOF
