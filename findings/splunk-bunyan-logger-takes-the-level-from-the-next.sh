#!/usr/bin/env bash
# splunk-bunyan-logger 0.11.0 with bunyan 1.8.15 (Node): bunyan hands one record to all raw streams of
# a logger, one after the other. This one sends the level, the time, the host and the source beside
# the event, and to do so deletes them from the record, which is not its own. So of a logger with
# two of these streams, such as for two servers, the second sends every record as "info", with
# the time of sending, and of no host and no source. What a ring buffer after it keeps, to be
# looked at when something has gone wrong, has no level and no time. Nothing fails.
#
# Expected: both streams send the same; other streams get the record as it was.
# Seen, of log.error({source: "checkout"}, "Payment failed"):
#   first: severity=error host=web-1 source=checkout
#   second: severity=info host=undefined source=undefined
#   ring buffer: level=undefined time=undefined source=undefined
#   ring buffer before them: level=50 time=a Date source=checkout
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund splunk-bunyan-logger@0.11.0 bunyan@1.8.15
cat >main.js <<'EOF'
const http = require('node:http')
const bunyan = require('bunyan')
const splunk = require('splunk-bunyan-logger')

const received = {}
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  received[req.url.slice(1)] = JSON.parse(body)
  res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"text":"Success","code":0}')
  if (Object.keys(received).length < 2) return
  for (const which of ['first', 'second']) {
    const { host, source, event } = received[which]
    console.log(`${which}: severity=${event.severity} host=${host} source=${source}`)
  }
  server.close()
  server.closeAllConnections()
})
server.listen(0, '127.0.0.1', () => {
  const stream = (path) => splunk.createStream({ token: 'token', url: `http://127.0.0.1:${server.address().port}/${path}` })
  const ring = { stream: new bunyan.RingBuffer({ limit: 10 }), type: 'raw' }
  const streams = [stream('first'), stream('second'), ring]
  bunyan.createLogger({ name: 'shop', hostname: 'web-1', streams }).error({ source: 'checkout' }, 'Payment failed')

  const early = { type: 'raw', stream: { write: (record) => { early.record = { ...record } } } }
  bunyan.createLogger({ name: 'shop', streams: [early] }).error({ source: 'checkout' }, 'Payment failed')
  process.on('exit', () => {
    const show = (what, { level, time, source }) => console.log(`${what}: level=${level} time=${time && 'a Date'} source=${source}`)
    show('ring buffer', ring.stream.records[0])
    show('ring buffer before them', early.record)
  })
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
first: severity=error host=web-1 source=checkout
second: severity=info host=undefined source=undefined
ring buffer: level=undefined time=undefined source=undefined
ring buffer before them: level=50 time=a Date source=checkout
EOF
