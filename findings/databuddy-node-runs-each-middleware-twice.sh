#!/usr/bin/env bash
# @databuddy/sdk 2.6.0 (Node): with batching, which is the default, an event goes through the
# middleware when it is tracked, and again when its batch is sent. One that changes cents to
# euros does so twice; one that lets half of the events through lets a quarter through. The
# global properties are added a second time as well, so that one that was set later, for
# whatever came then, is in the events before it. Without batching all is right.
#
# Expected: an event goes through each middleware once, and has the properties of its time.
# Seen, of track("Bought") with a middleware that divides total by 100, then
# setGlobalProperties({coupon: "SUMMER"}), then flush:
#   enableBatching false: 1 call of the middleware, Bought {"total":1299}
#   enableBatching true: 2 calls of the middleware, Bought {"coupon":"SUMMER","total":12.99}
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @databuddy/sdk@2.6.0
cat >main.mjs <<'EOF'
import { once } from 'node:events'
import http from 'node:http'
import { Databuddy } from '@databuddy/sdk/node'

let received
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  received = [].concat(JSON.parse(body))
  res.setHeader('Content-Type', 'application/json').end('{"status":"success"}')
}).listen(0, '127.0.0.1')
await once(server, 'listening')

for (const enableBatching of [false, true]) {
  let calls = 0
  const client = new Databuddy({
    apiKey: 'key',
    apiUrl: `http://127.0.0.1:${server.address().port}`,
    enableBatching,
    middleware: [(event) => {
      calls++
      return { ...event, properties: { ...event.properties, total: event.properties.total / 100 } }
    }]
  })
  await client.track({ name: 'Bought', properties: { total: 129900 } })
  client.setGlobalProperties({ coupon: 'SUMMER' })
  const result = await client.flush()
  if (!result.success) throw new Error(result.error)
  console.log(`enableBatching ${enableBatching}: ${calls} call${calls > 1 ? 's' : ''} of the middleware, ` +
    received.map(({ name, properties }) => `${name} ${JSON.stringify(properties)}`).join())
}
process.exit(0)
EOF
timeout 60 node main.mjs | tee seen
diff - seen <<'EOF'
enableBatching false: 1 call of the middleware, Bought {"total":1299}
enableBatching true: 2 calls of the middleware, Bought {"coupon":"SUMMER","total":12.99}
EOF
