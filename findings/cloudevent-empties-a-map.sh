#!/usr/bin/env bash
# cloudevent 0.10.0 (Node): data that is no text is copied by spreading it, of which nothing is left
# if it is a Map or a Set. By its doc the data can be one of them. The event is then made with
# {}, without an error, in the strict mode as well, and is valid: what was ordered is gone before
# the event is written. A Map within an object is kept in the event, and is {} in its JSON.
#
# Expected: the JSON has what is in the Map or the Set, or there is an error.
# Seen, of new CloudEvent(..., data, {strict: true}, ...):
#   object: valid, {"mug":2}
#   Map: valid, {}
#   Set: valid, {}
#   Map in an object: valid, {"items":{}}
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund cloudevent@0.10.0
cat >main.js <<'EOF'
const { CloudEvent } = require('cloudevent')

const items = new Map([['mug', 2]])
const data = { object: { mug: 2 }, Map: items, Set: new Set(['mug']), 'Map in an object': { items } }
for (const [what, value] of Object.entries(data)) {
  const event = new CloudEvent('1', 'example.ordered', '/shop', value, { strict: true }, { tenant: 'a' })
  const valid = CloudEvent.isValidEvent(event) ? 'valid' : 'not valid'
  const written = JSON.parse(CloudEvent.serializeEvent(event))
  console.log(`${what}: ${valid}, ${JSON.stringify(written.data)}`)
}
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
object: valid, {"mug":2}
Map: valid, {}
Set: valid, {}
Map in an object: valid, {"items":{}}
EOF
