#!/usr/bin/env bash
# @databeat/tracker 0.9.3 (Node and browsers): what is tracked waits half a second. Of events that
# are then equal in name, source, visitor, session and properties only the first is sent. On a
# server all are of one session, and the userId of an event, a field of its type, is replaced
# by that of the tracker, which is null there. So if two customers buy the same thing within half a
# second, one event is sent, and it is nobody's. In a browser somebody who puts two mugs in
# the basket, one after the other, has put in one. And of more than 150 that wait the
# oldest are thrown away. None of it is an error; the promises of track are fulfilled.
#
# Expected: each event is sent, with the userId that it was given.
# Seen:
#   sold to ada, bob and cy: 1 event, userId null
#   1000 events with a number each: 150 events, from number 851 on
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @databeat/tracker@0.9.3
cat >main.mjs <<'EOF'
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Databeat } from '@databeat/tracker'

let received = []
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  received.push(...JSON.parse(body).events)
  res.end('{"ok": true}')
})
server.listen(0, '127.0.0.1', async () => {
  const tracker = new Databeat(`http://127.0.0.1:${server.address().port}`, 'key')
  const sent = async () => {
    await sleep(3000) // six times as long as an event waits
    const events = received
    received = []
    return events
  }
  const sold = ['ada', 'bob', 'cy'].map((userId) => ({ event: 'SOLD', source: '/shop', userId, props: { sku: 'mug' } }))
  await Promise.all(sold.map((event) => tracker.track(event)))
  const sales = await sent()
  console.log(`sold to ada, bob and cy: ${sales.length} event, userId ${sales[0].userId}`)

  const numbered = Array.from({ length: 1000 }, (_, i) => ({ event: 'SOLD', source: '/shop', nums: { number: i + 1 } }))
  await Promise.all(numbered.map((event) => tracker.track(event)))
  const last = await sent()
  console.log(`1000 events with a number each: ${last.length} events, from number ${last[0].nums.number} on`)
  process.exit(0)
})
EOF
timeout 60 node main.mjs | tee seen
diff - seen <<'EOF'
sold to ada, bob and cy: 1 event, userId null
1000 events with a number each: 150 events, from number 851 on
EOF
