#!/usr/bin/env bash
# @openpanel/sdk 1.3.1: with waitForProfile, events wait until identify. After clear, which
# is the logout, they wait again, and go to whoever is identified next, even if that is
# somebody else at the same machine, hours later. Without waitForProfile they are
# nobody's.
#
# Expected: what happens between clear and identify is nobody's.
# Seen, of identify ada, clear, track "Searched", identify bob:
#   waitForProfile true: Searched profileId=bob
#   waitForProfile false: Searched profileId=none
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @openpanel/sdk@1.3.1
cat >main.js <<'EOF'
const http = require('node:http')
const { once } = require('node:events')
const { OpenPanel } = require('@openpanel/sdk')

async function run (waitForProfile) {
  let heard
  const event = new Promise((resolve) => { heard = resolve })
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    const { type, payload } = JSON.parse(body)
    if (type === 'track') heard(payload)
    res.end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new OpenPanel({
    apiUrl: `http://127.0.0.1:${server.address().port}`, clientId: 'id', clientSecret: 'secret', waitForProfile
  })
  await client.identify({ profileId: 'ada', firstName: 'Ada' })
  client.clear()
  client.track('Searched')
  await client.identify({ profileId: 'bob', firstName: 'Bob' })
  const { name, profileId } = await event
  console.log(`waitForProfile ${waitForProfile}: ${name} profileId=${profileId ?? 'none'}`)
}

async function main () {
  await run(true)
  await run(false)
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
waitForProfile true: Searched profileId=bob
waitForProfile false: Searched profileId=none
EOF
