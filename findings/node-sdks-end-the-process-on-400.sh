#!/usr/bin/env bash
# @rudderstack/rudder-sdk-node 3.0.13 and analytics-node 6.2.0: the first event is sent
# at once, by the call that enqueues it, and nothing catches what comes of that. One
# answer of 400 is an unhandled rejection, which ends the process of the program that
# tracks, before the callback that the call was given. What was tracked after it is
# lost.
#
# Seen:
#   @rudderstack/rudder-sdk-node 3.0.13: no callback, the process exits with 1, of 3 events 1 was sent
#   analytics-node 6.2.0: no callback, the process exits with 1, of 3 events 1 was sent
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @rudderstack/rudder-sdk-node@3.0.13 analytics-node@6.2.0
cat >program.js <<'EOF'
const Analytics = require(process.argv[2])
const host = process.argv[3]
const analytics = new Analytics('key', { host, dataPlaneUrl: host, gzip: false })
for (const event of ['A', 'B', 'C']) {
  analytics.track({ userId: 'ada', event }, (error) => { if (error) console.log('the callback has an error') })
}
setTimeout(() => {}, 30000) // the rest of the program
EOF
cat >main.js <<'EOF'
const http = require('node:http')
const { spawn } = require('node:child_process')

async function run (pkg) {
  let sent = 0
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    sent += JSON.parse(body).batch.length
    res.writeHead(400).end('{"error":"no"}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const child = spawn('node', ['program.js', pkg, `http://127.0.0.1:${server.address().port}`])
  let output = ''
  child.stdout.on('data', (data) => { output += data })
  const status = await new Promise((resolve) => child.on('close', resolve))
  const version = require(`./node_modules/${pkg}/package.json`).version
  console.log(`${pkg} ${version}: ${output ? 'a callback' : 'no callback'}, the process exits with ${status}, of 3 events ${sent} was sent`)
  server.close()
}

run('@rudderstack/rudder-sdk-node').then(() => run('analytics-node'))
EOF
node main.js | tee seen
diff - seen <<'EOF'
@rudderstack/rudder-sdk-node 3.0.13: no callback, the process exits with 1, of 3 events 1 was sent
analytics-node 6.2.0: no callback, the process exits with 1, of 3 events 1 was sent
EOF
