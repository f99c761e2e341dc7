#!/usr/bin/env bash
# fluent-logger 3.4.1 (Node): by the README, requireAckResponse makes of the protocol one of
# at-least-once. But an event leaves the queue when it is written, and what the server did not
# acknowledge, such as when it is restarted, is never sent again. A callback is told, if
# there is one, and after ackResponseTimeout, 190 seconds by default. Until then every other
# event waits too, although a new connection would be answered at once.
#
# Expected: an event without an acknowledgement is sent again; the others do not wait.
# Seen, from a server that closes the first connection when it has read B, and answers
# everything else, with ackResponseTimeout 4 seconds:
#   A: acknowledged at once, sent 1 time
#   B: ack response timeout after 4 seconds, sent 1 time
#   C: acknowledged after B's timeout, sent 1 time
#   the server acknowledged: A, C
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund fluent-logger@3.4.1 msgpack-lite@0.1.26
cat >main.js <<'EOF'
const { once } = require('node:events')
const net = require('node:net')
const fluent = require('fluent-logger')
const msgpack = require('msgpack-lite')

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

async function main () {
  const sent = []
  const acknowledged = []
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      const [, , { name }, { chunk }] = msgpack.decode(data)
      sent.push(name)
      if (name === 'B') return socket.end()
      acknowledged.push(name)
      socket.write(msgpack.encode({ ack: chunk }))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const logger = fluent.createFluentSender('shop', {
    host: '127.0.0.1',
    port: server.address().port,
    requireAckResponse: true,
    ackResponseTimeout: 4000,
    reconnectInterval: 1000,
    internalLogger: { info () {}, error () {} }
  })

  const begin = Date.now()
  const outcomes = {}
  const told = []
  const emit = (name) => new Promise((resolve) => logger.emit('event', { name }, (error) => {
    const seconds = Math.floor((Date.now() - begin) / 1000)
    const when = seconds < 1 ? 'at once' : told.includes('B') ? "after B's timeout" : 'after 4 seconds'
    outcomes[name] = `${error ? error.message : 'acknowledged'} ${when}`
    told.push(name)
    resolve()
  }))
  await emit('A')
  const b = emit('B')
  await wait(0.5)
  await Promise.all([b, emit('C')])
  await wait(6) // long enough for another try at B
  for (const name of ['A', 'B', 'C']) {
    console.log(`${name}: ${outcomes[name]}, sent ${sent.filter((one) => one === name).length} time`)
  }
  console.log('the server acknowledged: ' + acknowledged.join(', '))
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
A: acknowledged at once, sent 1 time
B: ack response timeout after 4 seconds, sent 1 time
C: acknowledged after B's timeout, sent 1 time
the server acknowledged: A, C
EOF
