#!/usr/bin/env bash
# @codenificient/analytics-sdk 2.0.0: in all examples of the README, and in its reference, track and
# custom take an event, its properties and a namespace, in this order, and an event of trackBatch has
# its name in "event". The code takes the namespace first, then the event, then the properties. So
# the name of the event is sent as its namespace, the properties as the event's name, and the
# namespace, or nothing, as the properties. An event of trackBatch has no name. The server may take
# it, as it is JSON; the promise then says success. Only a program in TypeScript is told. Besides,
# a user who is named among the properties, as in the README, is in the name of the event with them.
#
# Expected: the README's calls send the event under its name, with its properties.
# Seen, of calls as in the README, from a bundle (Node.js itself cannot load the package):
#   track: namespace "button-click", eventType {"page":"/home"}, properties {}
#   track with a namespace: namespace "button-click", eventType {"page":"/home"}, properties "user-interactions"
#   trackBatch: namespace undefined, eventType undefined, properties {"page":"/home"}
#   pageView: namespace "pageview", eventType "view", properties {"page":"/home","referrer":"","url":"","title":""}
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @codenificient/analytics-sdk@2.0.0 esbuild@0.25.0
cat >main.js <<'EOF'
import http from 'node:http'
import { Analytics } from '@codenificient/analytics-sdk'

let received
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  received = JSON.parse(body).events[0]
  res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"success":true}')
})
server.listen(0, '127.0.0.1', async () => {
  const analytics = new Analytics({ apiKey: 'key', endpoint: `http://127.0.0.1:${server.address().port}` })
  const calls = {
    track: () => analytics.track('button-click', { page: '/home' }),
    'track with a namespace': () => analytics.track('button-click', { page: '/home' }, 'user-interactions'),
    trackBatch: () => analytics.trackBatch([{ event: 'button-click', properties: { page: '/home' } }]),
    pageView: () => analytics.pageView('/home')
  }
  for (const [what, call] of Object.entries(calls)) {
    await call()
    const { namespace, eventType, properties } = received
    console.log(`${what}: namespace ${JSON.stringify(namespace)}, eventType ${JSON.stringify(eventType)}, properties ${JSON.stringify(properties)}`)
  }
  server.close()
  server.closeAllConnections()
})
EOF
node_modules/.bin/esbuild main.js --bundle --platform=node --outfile=bundle.js --log-level=error
timeout 60 node bundle.js | tee seen
diff - seen <<'EOF'
track: namespace "button-click", eventType {"page":"/home"}, properties {}
track with a namespace: namespace "button-click", eventType {"page":"/home"}, properties "user-interactions"
trackBatch: namespace undefined, eventType undefined, properties {"page":"/home"}
pageView: namespace "pageview", eventType "view", properties {"page":"/home","referrer":"","url":"","title":""}
EOF
