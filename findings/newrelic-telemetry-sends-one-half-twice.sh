#!/usr/bin/env bash
# @newrelic/telemetry-sdk 0.6.0 (Node), with its createRecommendedStrategyHandler: a batch that is
# answered with 413, too large, is split in two, and both halves are sent. But the loop over
# the halves takes the first one each time. So the first half is sent twice, and the second
# is gone. The callback hears of no error, and that the action was Success. A batch of events,
# metrics, spans or logs is split by the same loop, and each time again.
#
# Expected: each event is sent once.
# Seen, from a server that takes no more than 2 events at a time, of a batch with a to h:
#   sent, and accepted: a b a b a b a b
#   the callback: no error, Success
#
# Needs Node.js 20, npm and OpenSSL. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @newrelic/telemetry-sdk@0.6.0
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
  -keyout key.pem -out cert.pem 2>/dev/null
cat >main.js <<'EOF'
const fs = require('node:fs')
const https = require('node:https')
const zlib = require('node:zlib')
const { telemetry } = require('@newrelic/telemetry-sdk')

const accepted = []
const server = https.createServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') }, async (req, res) => {
  const chunks = []
  for await (const chunk of req) chunks.push(chunk)
  const events = JSON.parse(zlib.gunzipSync(Buffer.concat(chunks)))
  res.statusCode = events.length > 2 ? 413 : 200
  if (res.statusCode === 200) accepted.push(...events.map((event) => event.name))
  res.end('{}')
})
server.listen(0, '127.0.0.1', () => {
  const client = new telemetry.events.EventClient({ apiKey: 'key', host: '127.0.0.1', port: server.address().port })
  const events = [...'abcdefgh'].map((name) => new telemetry.events.Event('Bought', { name }))
  const batch = new telemetry.events.EventBatch({}, events)
  client.send(batch, telemetry.createRecommendedStrategyHandler({ retryFactor: 0.1 }, (error, action) => {
    console.log('sent, and accepted: ' + accepted.join(' '))
    console.log(`the callback: ${error || 'no error'}, ${telemetry.RecommendedAction[action]}`)
    process.exit(0)
  }))
})
EOF
NODE_EXTRA_CA_CERTS=cert.pem timeout 60 node main.js | tee seen
diff - seen <<'EOF'
sent, and accepted: a b a b a b a b
the callback: no error, Success
EOF
