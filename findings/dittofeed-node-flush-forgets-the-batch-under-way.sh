#!/usr/bin/env bash
# @dittofeed/sdk-node 0.1.2: every fifth event sends a batch in the background, and flush,
# which by its doc makes sure that what was submitted is sent, does not wait for a batch
# that is already under way. A script that tracks five events, awaits flush and ends with
# process.exit loses all five. Of four events, none is lost.
#
# Expected: after flush every event submitted before it has been answered.
# Seen, when process.exit follows await flush():
#   4 events: 4 arrived
#   5 events: 0 arrived
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @dittofeed/sdk-node@0.1.2
cat >script.js <<'EOF'
const { DittofeedSdk } = require('@dittofeed/sdk-node')

async function main () {
  const [host, count] = process.argv.slice(2)
  await DittofeedSdk.init({ writeKey: 'key', host })
  for (let i = 0; i < count; i++) DittofeedSdk.track({ userId: 'ada', event: 'Bought', properties: { item: i } })
  await DittofeedSdk.flush()
  process.exit(0)
}
main()
EOF
cat >main.js <<'EOF'
const http = require('node:http')
const { spawn } = require('node:child_process')
const { once } = require('node:events')

let arrived
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  arrived += JSON.parse(body).batch.length
  setTimeout(() => res.end('{}'), 500)
})
server.listen(0, '127.0.0.1', async () => {
  for (const count of [4, 5]) {
    arrived = 0
    const script = spawn(process.execPath, ['script.js', `http://127.0.0.1:${server.address().port}`, String(count)], { stdio: 'inherit' })
    await once(script, 'exit')
    console.log(`${count} events: ${arrived} arrived`)
  }
  process.exit(0)
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
4 events: 4 arrived
5 events: 0 arrived
EOF
