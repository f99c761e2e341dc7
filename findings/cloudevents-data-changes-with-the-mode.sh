#!/usr/bin/env bash
# cloudevents 10.0.0 (Node): what an event of CloudEvents has for data depends on the mode in
# which it came over HTTP, between two programs with this package. Where its JSON is 0, false or
# an empty text, the structured mode, by a test for truth, takes it for absent. The
# binary mode parses only what begins as an object or a list, so that a number or a
# boolean becomes a text, and null the text "null". The batched mode has all of it right.
# No error says so, and isEvent is true for each.
#
# Expected: the data that was sent, in each mode, as the specification has it.
# Seen, of an event with datacontenttype application/json:
#   sent 0: structured undefined, binary "0", batched 0
#   sent 42: structured 42, binary "42", batched 42
#   sent false: structured undefined, binary "false", batched false
#   sent true: structured true, binary "true", batched true
#   sent "": structured undefined, binary "", batched ""
#   sent null: structured undefined, binary "null", batched null
#   sent {"total":0}: structured {"total":0}, binary {"total":0}, batched {"total":0}
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund cloudevents@10.0.0
cat >main.js <<'EOF'
const { once } = require('node:events')
const http = require('node:http')
const { CloudEvent, HTTP } = require('cloudevents')

let received
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  const message = { headers: req.headers, body }
  if (!HTTP.isEvent(message)) throw new Error('not an event')
  received = [].concat(HTTP.toEvent(message))[0]
  res.end()
})

async function main () {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${server.address().port}/`
  const batched = (event) => ({
    headers: { 'content-type': 'application/cloudevents-batch+json' }, body: JSON.stringify([event])
  })
  for (const data of [0, 42, false, true, '', null, { total: 0 }]) {
    const event = new CloudEvent({ type: 'bought', source: '/shop', datacontenttype: 'application/json', data })
    const seen = []
    for (const [mode, write] of Object.entries({ structured: HTTP.structured, binary: HTTP.binary, batched })) {
      const { headers, body } = write(event)
      await fetch(url, { method: 'POST', headers, body })
      seen.push(`${mode} ${JSON.stringify(received.data)}`)
    }
    console.log(`sent ${JSON.stringify(data)}: ${seen.join(', ')}`)
  }
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
sent 0: structured undefined, binary "0", batched 0
sent 42: structured 42, binary "42", batched 42
sent false: structured undefined, binary "false", batched false
sent true: structured true, binary "true", batched true
sent "": structured undefined, binary "", batched ""
sent null: structured undefined, binary "null", batched null
sent {"total":0}: structured {"total":0}, binary {"total":0}, batched {"total":0}
EOF
