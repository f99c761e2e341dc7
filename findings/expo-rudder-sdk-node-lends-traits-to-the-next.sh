#!/usr/bin/env bash
# @expo/rudder-sdk-node 1.1.1 (Node): identify writes the traits of the person into the context of the message,
# where destinations look for them, and it does so in the object that the caller gave. A context that
# is made once, with the version and the machine, and passed with each call, as a context is by its
# nature, has the traits of the last person who was identified from then on. All that others do, who
# never gave any, is sent with that person's traits, such as an address.
#
# Expected: what is passed is not changed, and the traits go with the person who has them.
# Seen, of three calls that share a context, of which only the second has traits:
#   track Opened by carl, context.traits: none
#   identify by ada, context.traits: {"email":"ada@example.com"}
#   track Ordered by bob, context.traits: {"email":"ada@example.com"}
#   with a context of its own for each: none, {"email":"ada@example.com"}, none
#   the caller's context afterwards: {"app":{"version":"2.0"},"traits":{"email":"ada@example.com"}}
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @expo/rudder-sdk-node@1.1.1
cat >main.js <<'EOT'
const http = require('node:http')
const Analytics = require('@expo/rudder-sdk-node').default

const show = (message) => JSON.stringify(message.context.traits) || 'none'
let seen = []
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const part of req) body += part
  seen.push(...JSON.parse(body).batch)
  res.end('OK')
}).listen(0, '127.0.0.1', main)

async function run (context) {
  seen = []
  const client = new Analytics('key', `http://127.0.0.1:${server.address().port}/v1/batch`)
  client.track({ userId: 'first', event: 'The first is sent at once' })
  client.track({ userId: 'carl', event: 'Opened', context: context() })
  client.identify({ userId: 'ada', traits: { email: 'ada@example.com' }, context: context() })
  client.track({ userId: 'bob', event: 'Ordered', context: context() })
  await client.flush()
  return seen.slice(1)
}

async function main () {
  const context = { app: { version: '2.0' } }
  for (const m of await run(() => context)) {
    console.log(`${[m.type, m.event].filter(Boolean).join(' ')} by ${m.userId}, context.traits: ${show(m)}`)
  }
  const own = await run(() => ({ app: { version: '2.0' } }))
  console.log(`with a context of its own for each: ${own.map(show).join(', ')}`)
  console.log(`the caller's context afterwards: ${JSON.stringify(context)}`)
  process.exit()
}
EOT
timeout 30 node main.js | tee seen
diff - seen <<'EOT'
track Opened by carl, context.traits: none
identify by ada, context.traits: {"email":"ada@example.com"}
track Ordered by bob, context.traits: {"email":"ada@example.com"}
with a context of its own for each: none, {"email":"ada@example.com"}, none
the caller's context afterwards: {"app":{"version":"2.0"},"traits":{"email":"ada@example.com"}}
EOT
