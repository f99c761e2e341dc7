#!/usr/bin/env bash
# @lobehub/analytics 1.6.4 with posthog-node 4.18.0, which it brings: createServerAnalytics has the
# methods of the browser's, trackPageView and trackEvent among them, and none of the two takes a
# person. On a server identify changes nothing for what follows, and a userId or a
# distinct_id among the properties is a property. So all page views and all such events, of
# whatever visitor, go to PostHog as those of one person with the id "anonymous". The site has one
# visitor, who does everything. Only track, with a userId in the event, says who it was.
#
# Expected: a way to say whose page view it is, or an error.
# Seen, for each of ada and bob, identify and then the call:
#   trackPageView("/", {userId, distinct_id}): anonymous, anonymous
#   trackEvent("button_click", {userId, distinct_id}): anonymous, anonymous
#   track({name: "bought", userId}): ada, bob
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @lobehub/analytics@1.6.4 posthog-node@4.18.0
cat >main.mjs <<'EOF'
import http from 'node:http'
import { createServerAnalytics } from '@lobehub/analytics/server'

let people = []
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  const events = JSON.parse(body).batch.filter(({ event }) => event !== '$identify')
  people.push(...events.map((event) => event.distinct_id))
  res.setHeader('Content-Type', 'application/json').end('{"status": 1}')
})
server.listen(0, '127.0.0.1', async () => {
  const analytics = createServerAnalytics({
    business: 'shop',
    providers: { posthogNode: { enabled: true, key: 'key', host: `http://127.0.0.1:${server.address().port}` } }
  })
  await analytics.initialize()
  const calls = {
    'trackPageView("/", {userId, distinct_id})': (who) => analytics.trackPageView('/', { userId: who, distinct_id: who }),
    'trackEvent("button_click", {userId, distinct_id})': (who) => analytics.trackEvent('button_click', { userId: who, distinct_id: who }),
    'track({name: "bought", userId})': (who) => analytics.track({ name: 'bought', userId: who })
  }
  for (const [name, call] of Object.entries(calls)) {
    for (const who of ['ada', 'bob']) {
      await analytics.identify(who)
      await call(who)
    }
    await analytics.getProvider('posthogNode').flush()
    console.log(`${name}: ${people.join(', ')}`)
    people = []
  }
  process.exit(0)
})
EOF
timeout 60 node main.mjs | tee seen
diff - seen <<'EOF'
trackPageView("/", {userId, distinct_id}): anonymous, anonymous
trackEvent("button_click", {userId, distinct_id}): anonymous, anonymous
track({name: "bought", userId}): ada, bob
EOF
