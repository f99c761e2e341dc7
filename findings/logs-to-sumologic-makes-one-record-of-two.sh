#!/usr/bin/env bash
# logs-to-sumologic 1.1.0 (Node): with the option json, what is logged is made JSON, and then made
# JSON again, as the text of a message. So an object has no field any more but message, in which all
# of it is one text, and a list of objects, which is the README's way to send many at once, is one
# record with all of them in its text. Without the option both are right. And a list says which
# statuses are failures. 429, with which Sumo Logic refuses what is too much, is not one of them, nor
# are 413, 502 and 504. With these the callback has no error, and what was refused is gone.
#
# Expected: two objects are two records with their fields; what is refused is an error.
# Seen, of the body for {event, order}, for a list of two, and of the callback:
#   text: event=Bought, order=1
#   text, a list: event=Bought, order=1\nevent=Bought, order=2
#   json: {"message":"{\"event\":\"Bought\",\"order\":1}"}
#   json, a list: {"message":"{\"event\":\"Bought\",\"order\":1}\n{\"event\":\"Bought\",\"order\":2}"}
#   the callback: 200 no error, 503 an error, 429 no error, 413 no error, 502 no error, 504 no error
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund logs-to-sumologic@1.1.0
cat >main.js <<'EOF'
const http = require('node:http')
const Sumologic = require('logs-to-sumologic')

let status = 200
let received
const server = http.createServer(async (req, res) => {
  received = ''
  for await (const chunk of req) received += chunk
  res.writeHead(status).end()
})
server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}/receiver`
  const bought = (order) => ({ event: 'Bought', order })
  const log = (options, what) => new Promise((resolve) => Sumologic.createClient({ url, ...options }).log(what, (error) => resolve(error)))
  for (const [name, options] of [['text', {}], ['json', { json: true }]]) {
    for (const [list, what] of [['', bought(1)], [', a list', [bought(1), bought(2)]]]) {
      await log(options, what)
      console.log(`${name}${list}: ${received.replaceAll('\n', '\\n')}`)
    }
  }
  const said = []
  for (status of [200, 503, 429, 413, 502, 504]) said.push(`${status} ${await log({}, bought(1)) ? 'an error' : 'no error'}`)
  console.log(`the callback: ${said.join(', ')}`)
  server.close()
  server.closeAllConnections()
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
text: event=Bought, order=1
text, a list: event=Bought, order=1\nevent=Bought, order=2
json: {"message":"{\"event\":\"Bought\",\"order\":1}"}
json, a list: {"message":"{\"event\":\"Bought\",\"order\":1}\n{\"event\":\"Bought\",\"order\":2}"}
the callback: 200 no error, 503 an error, 429 no error, 413 no error, 502 no error, 504 no error
EOF
