#!/usr/bin/env bash
# @cherrystudio/analytics-client 1.3.1 (Node and browsers): by the README, track, trackTokenUsage and
# sendImmediate take a time, "for offline tracking". None of them does. An event has no time at all, not
# even that of the call, and neither has the request. So what waits is dated when it arrives, and that
# may be long after: what a 503 answers stays in the queue until the server is there again. Nor does
# an event know whose it is. A batch has the client id that is set when it goes, so that setClientId,
# which the README recommends "after user login", makes all that waits that of the one who logged
# in. The retries, three by default, are made for a failed connection, and never for a 503.
#
# Expected: an event has the time that was given, and is of the one who was there.
# Seen, where ada works, offline for two seconds, and bob logs in before the server is back:
#   requests during the outage: 1, which is told as HTTP 503
#   what arrives: client_id bob, [{"event_type":"work","data":{"by":"ada"}},{"event_type":"work","data":{"by":"bob"}}]
#   sendImmediate with a time: client_id bob, [{"event_type":"work","data":{"by":"bob"}}]
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @cherrystudio/analytics-client@1.3.1
cat >main.js <<'EOT'
const http = require('node:http')
const { AnalyticsClient } = require('@cherrystudio/analytics-client')

let requests = 0
let down = true
let seen
const server = http.createServer(async (req, res) => {
  requests++
  let body = ''
  for await (const part of req) body += part
  if (down) return res.writeHead(503).end()
  const { client_id: id, events } = JSON.parse(body)
  seen = `client_id ${id}, ${JSON.stringify(events)}`
  res.end('{"success": true}')
}).listen(0, '127.0.0.1', main)

async function main () {
  const client = new AnalyticsClient({ baseUrl: `http://127.0.0.1:${server.address().port}`, clientId: 'ada', autoBatch: false, retry: { initialDelay: 100 } })
  const time = new Date('2025-01-15T10:30:00Z')
  client.track('work', { by: 'ada' }, time)
  const told = await client.flush().catch((error) => error.message.split(':')[0])
  await new Promise((resolve) => setTimeout(resolve, 2000))
  console.log(`requests during the outage: ${requests}, which is told as ${told}`)
  down = false
  client.setClientId('bob')
  client.track('work', { by: 'bob' }, time)
  await client.flush()
  console.log(`what arrives: ${seen}`)
  await client.sendImmediate('work', { by: 'bob' }, time)
  console.log(`sendImmediate with a time: ${seen}`)
  process.exit()
}
EOT
timeout 30 node main.js | tee seen
diff - seen <<'EOT'
requests during the outage: 1, which is told as HTTP 503
what arrives: client_id bob, [{"event_type":"work","data":{"by":"ada"}},{"event_type":"work","data":{"by":"bob"}}]
sendImmediate with a time: client_id bob, [{"event_type":"work","data":{"by":"bob"}}]
EOT
