#!/usr/bin/env bash
# kissmetrics 0.0.4 (Node): the query is made with encodeURI, which leaves # and & as they
# are, and the person and the event come last in it. So a property with a # ends the
# request there: what arrives has no person, no event name and no time. An & cuts the
# value and makes another property of the rest. Kissmetrics answers 200 to everything,
# so the callback has no error.
# The client also writes _p, _n and _t into the object that the caller passed, which then
# go with it into whatever else is sent from that object.
#
# Expected: a property arrives as it was given; the caller's object stays as it was.
# Seen, of record("ada", "Bought", {item: ...}):
#   "mug":        item="mug" _p="ada" _n="Bought" _t="now", the callback: no error
#   "mug & tea":  item="mug " " tea"="" _p="ada" _n="Bought" _t="now", the callback: no error
#   "mug #2":     item="mug ", the callback: no error
#   the caller's object: item _p _n _t
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund kissmetrics@0.0.4
cat >main.js <<'EOF'
const http = require('node:http')
const { promisify } = require('node:util')
const Kissmetrics = require('kissmetrics')

let query
const server = http.createServer((req, res) => {
  query = new URL(req.url, 'http://host').searchParams
  res.end('GIF89a')
})
const quoted = (name) => /^\w+$/.test(name) ? name : JSON.stringify(name)

server.listen(0, '127.0.0.1', async () => {
  const client = new Kissmetrics({ key: 'key', host: '127.0.0.1', port: server.address().port })
  const record = promisify(client.record.bind(client))
  let properties
  for (const item of ['mug', 'mug & tea', 'mug #2']) {
    properties = { item }
    const heard = await record('ada', 'Bought', properties).then(() => 'no error', () => 'an error')
    const arrived = [...query].filter(([name]) => name && name !== '_k')
      .map(([name, value]) => [name, name === '_t' ? 'now' : value])
    console.log(`${(JSON.stringify(item) + ':').padEnd(13)} ` +
      arrived.map(([name, value]) => `${quoted(name)}=${JSON.stringify(value)}`).join(' ') + `, the callback: ${heard}`)
  }
  console.log("the caller's object: " + Object.keys(properties).join(' '))
  process.exit(0)
})
EOF
timeout 60 node main.js 2>errors | tee seen
diff - seen <<'EOF'
"mug":        item="mug" _p="ada" _n="Bought" _t="now", the callback: no error
"mug & tea":  item="mug " " tea"="" _p="ada" _n="Bought" _t="now", the callback: no error
"mug #2":     item="mug ", the callback: no error
the caller's object: item _p _n _t
EOF
