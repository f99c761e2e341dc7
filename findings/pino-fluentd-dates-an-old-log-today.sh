#!/usr/bin/env bash
# pino-fluentd 0.2.4 (Node): by the README one sends a log with "cat log | pino-fluentd". Each record
# of pino has its time, in milliseconds, which is a number. The command takes the length of the time,
# which only a text has, and where there is none it takes the clock. So everything that pino writes
# by default happened when the log was sent: a log of last week, or one that a pipe held back, is of
# today, and the original time is not in the record any more. A time as text is kept.
#
# Expected: the record in Fluentd has the time of the record in the log.
# Seen, of records from 2026-01-02T03:04:05.678Z:
#   "time":1767323045678: the time of sending
#   "time":"2026-01-02T03:04:05.678Z": 2026-01-02T03:04:05.678Z
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund pino-fluentd@0.2.4 @msgpack/msgpack@3.0.0
cat >main.js <<'EOF'
const net = require('node:net')
const { spawn } = require('node:child_process')
const { decodeMulti } = require('@msgpack/msgpack')

const times = [1767323045678, '2026-01-02T03:04:05.678Z']
const begin = Date.now()
const chunks = []
const server = net.createServer((socket) => socket.on('data', (chunk) => chunks.push(chunk)))
server.listen(0, '127.0.0.1', () => {
  const command = spawn('node_modules/.bin/pino-fluentd', ['--host', '127.0.0.1', '--port', server.address().port, '--trace-level', 'info'])
  times.forEach((time, order) => command.stdin.write(`${JSON.stringify({ level: 30, time, order, msg: 'Bought' })}\n`))
  setTimeout(() => {
    for (const [, , record] of decodeMulti(Buffer.concat(chunks))) report(record)
    command.kill()
    process.exit()
  }, 3000)
})

function report ({ order, time }) {
  const now = Date.parse(time) >= begin && Date.parse(time) <= Date.now()
  console.log(`"time":${JSON.stringify(times[order])}: ${now ? 'the time of sending' : time}`)
}
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
"time":1767323045678: the time of sending
"time":"2026-01-02T03:04:05.678Z": 2026-01-02T03:04:05.678Z
EOF
