#!/usr/bin/env bash
# clevertap 1.3.0 (Node): events and profiles fetch what a query finds, page after page, as long as
# an answer has a cursor for the next. An answer that is an error has none, be it a limit on
# requests (429, JSON) or the page of a proxy (502, HTML), so that it ends the list as the last
# page does. The promise is fulfilled with what came before, and the callback has no second
# argument. An export that is cut short cannot be told from a whole one.
#
# Expected: the promise is rejected, or the page is asked for again.
# Seen, where three pages have five events, of which the third fails:
#   third page 200: fulfilled with 5 events
#   third page 429: fulfilled with 4 events
#   third page 502: fulfilled with 4 events
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund clevertap@1.3.0
cat >main.js <<'EOF'
const http = require('node:http')
const CleverTap = require('clevertap')

const pages = {
  first: { status: 'success', records: [1, 2], next_cursor: 'second' },
  second: { status: 'success', records: [3, 4], next_cursor: 'third' },
  third: { status: 'success', records: [5] }
}
const failures = { 429: '{"status": "fail", "error": "Too many requests", "code": 429}', 502: '<h1>Bad Gateway</h1>' }
let status
const server = http.createServer((req, res) => {
  const page = new URL(req.url, 'http://localhost').searchParams.get('cursor') || 'first'
  const failure = page === 'third' && failures[status]
  res.statusCode = failure ? status : 200
  res.end(failure || JSON.stringify(pages[page]))
})

async function main () {
  const client = CleverTap.init('account', 'passcode', CleverTap.REGIONS.EUROPE)
  client.api.apiEndpoint = `http://127.0.0.1:${server.address().port}/1`
  for (status of [200, 429, 502]) {
    const query = { event_name: 'Charged', from: 20260101, to: 20260131 }
    const seen = await client.events(query, { batchSize: 2 }).then(
      (records) => `fulfilled with ${records.length} events`, () => 'rejected')
    console.log(`third page ${status}: ${seen}`)
  }
  process.exit(0)
}
server.listen(0, '127.0.0.1', main)
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
third page 200: fulfilled with 5 events
third page 429: fulfilled with 4 events
third page 502: fulfilled with 4 events
EOF
