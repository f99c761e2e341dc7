#!/usr/bin/env bash
# gelf 2.0.1 (Node), received by graygelf 2.0.0: a message to Graylog that does not fit in one packet
# of UDP goes in chunks, each with a head of twelve bytes, of which eight are the message's id. The
# client draws a number of eight digits and puts it where a byte belongs, so that the id has one byte
# of it and the head has five. A server reads the number of the chunk and the count of chunks out of
# the data, and never finds a message that is whole. So each that is larger than 1,420 bytes after
# compression, such as those with a long trace of an error, is lost, and only those. The
# callback has no error. The client of graygelf gets the same message through.
#
# Expected: a message in chunks arrives as one in a single packet does.
# Seen, of full_message with so many random digits:
#   gelf, 1000 digits: 1 packet, the callback: no error, arrived
#   gelf, 8000 digits: 4 packets, the callback: no error, not arrived
#   graygelf, 8000 digits: 4 packets, arrived
#   the first bytes of a chunk of gelf, and of graygelf: 1e 0f id 00 04, 1e 0f id id id id id id id id 00 04
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund gelf@2.0.1 graygelf@2.0.0
cat >main.js <<'EOF'
const crypto = require('node:crypto')
const Gelf = require('gelf')
const graygelf = require('graygelf')
const Server = require('graygelf/server')

const port = 20000 + process.pid % 20000
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const server = new Server()
let packets = []
let arrived = []
server.on('data', (packet) => packets.push(packet))
server.on('message', (message) => arrived.push(message.full_message))

async function send (what, digits, send) {
  packets = []
  arrived = []
  const full = crypto.randomBytes(digits / 2).toString('hex')
  const said = await send(full)
  await pause(500)
  const count = packets.length === 1 ? '1 packet' : `${packets.length} packets`
  console.log(`${what}, ${digits} digits: ${count}, ${said}${arrived.includes(full) ? 'arrived' : 'not arrived'}`)
}

async function main () {
  server.listen(port, '127.0.0.1')
  await pause(200)
  const gelf = new Gelf({ graylogPort: port })
  const other = graygelf({ host: '127.0.0.1', port })
  const byGelf = (full) => new Promise((resolve) => gelf.emit('gelf.log', { short_message: 'Failed', full_message: full },
    (error) => resolve(`the callback: ${error ? error.message : 'no error'}, `)))
  const byGraygelf = (full) => {
    other.raw({ short_message: 'Failed', full_message: full })
    return ''
  }
  await send('gelf', 1000, byGelf)
  await send('gelf', 8000, byGelf)
  const hex = (packet, from, to) => [...packet.subarray(from, to)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  const first = packets.find((packet) => packet[3] === 0)
  await send('graygelf', 8000, byGraygelf)
  const second = packets.find((packet) => packet[10] === 0)
  console.log(`the first bytes of a chunk of gelf, and of graygelf: ${hex(first, 0, 2)} id ${hex(first, 3, 5)}, ` +
    `${hex(second, 0, 2)} ${Array(8).fill('id').join(' ')} ${hex(second, 10, 12)}`)
  process.exit()
}

main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
gelf, 1000 digits: 1 packet, the callback: no error, arrived
gelf, 8000 digits: 4 packets, the callback: no error, not arrived
graygelf, 8000 digits: 4 packets, arrived
the first bytes of a chunk of gelf, and of graygelf: 1e 0f id 00 04, 1e 0f id id id id id id id id 00 04
EOF
