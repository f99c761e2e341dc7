#!/usr/bin/env bash
# jsonl 1.1.2 (Node): it makes lines of JSON of a list of objects. By the README pluck selects specific
# fields of them, and its type is a list. But with two fields each object becomes two lines, one for
# each, so that who bought is in one record and what in another, and the file has twice as many. The
# name of a field is put into small letters before it is looked for, and what is looked for is not. So
# userId is never found, without an error: the file is empty. Only "userid" finds it, and writes it
# as userId. With one field in small letters, as in the README's example, it is right.
#
# Expected: a record for each object, with the fields that were named.
# Seen, of two objects {"userId", "event", "page"}, with depth 2 as the README has it:
#   pluck event: {"event":"Bought"} {"event":"Sold"}
#   pluck event, page: {"event":"Bought"} {"page":"/mugs"} {"event":"Sold"} {"page":"/cups"}
#   pluck userId: nothing
#   pluck userid: {"userId":"ada"} {"userId":"bob"}
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund jsonl@1.1.2
cat >main.js <<'EOF'
const { Readable } = require('node:stream')
const jsonl = require('jsonl')

const events = [{ userId: 'ada', event: 'Bought', page: '/mugs' }, { userId: 'bob', event: 'Sold', page: '/cups' }]

async function main () {
  for (const pluck of [['event'], ['event', 'page'], ['userId'], ['userid']]) {
    let lines = ''
    const stream = Readable.from([Buffer.from(JSON.stringify(events))]).pipe(jsonl({ pluck, depth: 2 }))
    stream.on('data', (chunk) => { lines += chunk })
    await new Promise((resolve) => stream.on('end', resolve))
    console.log(`pluck ${pluck.join(', ')}: ${lines.trim().replaceAll('\n', ' ') || 'nothing'}`)
  }
}

main()
EOF
timeout 60 node --no-deprecation main.js | tee seen
diff - seen <<'EOF'
pluck event: {"event":"Bought"} {"event":"Sold"}
pluck event, page: {"event":"Bought"} {"page":"/mugs"} {"event":"Sold"} {"page":"/cups"}
pluck userId: nothing
pluck userid: {"userId":"ada"} {"userId":"bob"}
EOF
