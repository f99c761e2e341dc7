#!/usr/bin/env bash
# Two clients that are made for servers, or for servers too, but know one visitor at a time:
#
# analytics 0.8.19: of two requests that are served at once, each of which awaits identify
# and then tracks, both events are of the one who was identified last.
#
# woopra 1.0.2: identify adds to the visitor before. Who has no plan has that of the
# person who was identified before, in every event from then on.
#
# Expected: an event is of the user that its request identified, with that user's properties.
# Seen:
#   analytics: "by ada" userId=bob
#   analytics: "by bob" userId=bob
#   woopra: "by ada" email=ada@shop.example plan=gold
#   woopra: "by bob" email=bob@shop.example plan=gold
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund analytics@0.8.19 woopra@1.0.2
cat >main.js <<'EOF'
const http = require('node:http')
const { once } = require('node:events')
const { promisify } = require('node:util')
const { Analytics } = require('analytics')
const Woopra = require('woopra')

async function main () {
  const analytics = Analytics({
    app: 'shop',
    plugins: [{ name: 'print', track: ({ payload }) => console.log(`analytics: "${payload.event}" userId=${payload.userId}`) }]
  })
  const serve = async (user) => {
    await analytics.identify(user)
    await analytics.track('by ' + user)
  }
  await Promise.all([serve('ada'), serve('bob')])

  const server = http.createServer((req, res) => {
    const query = new URL(req.url, 'http://host').searchParams
    console.log(`woopra: "${query.get('event')}" email=${query.get('cv_email')} plan=${query.get('cv_plan') || 'none'}`)
    res.end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const get = http.get // the client knows no host but its own
  http.get = (options, heard) => get({ ...options, hostname: '127.0.0.1', port: server.address().port }, heard)
  const woopra = new Woopra('shop.example', { ssl: false })
  const track = promisify(woopra.track.bind(woopra))
  woopra.identify('ada@shop.example', { plan: 'gold' })
  await track('by ada', {}, {})
  woopra.identify('bob@shop.example', {})
  await track('by bob', {}, {})
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
analytics: "by ada" userId=bob
analytics: "by bob" userId=bob
woopra: "by ada" email=ada@shop.example plan=gold
woopra: "by bob" email=bob@shop.example plan=gold
EOF
