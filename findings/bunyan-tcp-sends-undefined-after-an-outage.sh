#!/usr/bin/env bash
# bunyan-tcp 0.9.5 with bunyan 1.8.15 (Node): what is logged while there is no connection is kept, 100
# records by default, and sent once there is one. The place of each is counted from the start of the
# program, and the count is not set back when the buffer is emptied. The first time, which is the
# moment before the stream is connected at all, it is right. From then on it may begin anywhere: of
# three records in an outage two are never sent, and in their place two lines "undefined" are, which
# are no JSON. droppedMessageCount is 0, and the event dropped_messages is not emitted, so that a
# program that watches both sees an outage in which nothing was lost.
#
# Expected: up to 100 records of each outage are sent.
# Seen, of records A and B before the first connection, C to E in an outage, and F and G in the next:
#   before: received A B, dropped 0
#   outage 1: received E undefined undefined, dropped 0
#   outage 2: received G undefined, dropped 0
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund bunyan-tcp@0.9.5 bunyan@1.8.15
cat >main.js <<'EOF'
const net = require('node:net')
const bunyan = require('bunyan')
const bunyanTcp = require('bunyan-tcp')

const port = 20000 + process.pid % 20000
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let received = ''
let sockets = []
let server
function listen () {
  server = net.createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => { received += chunk })
  })
  return new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
}

async function main () {
  const stream = bunyanTcp.createBunyanStream({ server: '127.0.0.1', port, reconnectDelay: 200 })
  let dropped = 0
  stream.on('dropped_messages', (count) => { dropped += count })
  const log = bunyan.createLogger({ name: 'shop', streams: [{ type: 'raw', stream }] })
  const report = async (what) => {
    await pause(1000)
    const lines = received.split('\n').filter(Boolean).map((line) => line === 'undefined' ? line : JSON.parse(line).msg)
    console.log(`${what}: received ${lines.join(' ')}, dropped ${dropped + stream.droppedMessageCount()}`)
    received = ''
  }
  await listen()
  log.info('A')
  log.info('B')
  await report('before')
  for (const [outage, names] of [['outage 1', ['C', 'D', 'E']], ['outage 2', ['F', 'G']]]) {
    server.close()
    sockets.forEach((socket) => socket.destroy())
    sockets = []
    await pause(500)
    names.forEach((name) => log.info(name))
    await listen()
    await report(outage)
  }
  process.exit()
}

main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
before: received A B, dropped 0
outage 1: received E undefined undefined, dropped 0
outage 2: received G undefined, dropped 0
EOF
