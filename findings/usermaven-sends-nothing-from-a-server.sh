#!/usr/bin/env bash
# @usermaven/sdk-js 1.5.15: the README has a section on servers, with a client that is made by
# require in Node.js. But the package is built for browsers, and Node's modules are left out. What
# remains of the transport for servers calls undefined in their place, so that no request is
# ever made, whatever the host. track returns as it always does, nobody can wait for it, and all
# there is to see is what the client logs.
#
# Expected: what is tracked on a server is sent.
# Seen, of the README's call, against a server on this machine with HTTPS:
#   A: returned undefined, 0 requests, logged: Failed to send batch TypeError
#   B: returned undefined, 0 requests, logged: Failed to send batch TypeError
#   the same request, made by fetch: 1 request
#
# Needs Node.js 20, npm and OpenSSL. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @usermaven/sdk-js@1.5.15
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
	-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>/dev/null
cat >main.js <<'EOF'
const fs = require('node:fs')
const https = require('node:https')
const { usermavenClient } = require('@usermaven/sdk-js')

let requests = 0
const options = { key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') }
const server = https.createServer(options, (req, res) => {
  requests++
  req.resume().on('end', () => res.end('{}'))
})
server.listen(0, '127.0.0.1', async () => {
  const host = `https://127.0.0.1:${server.address().port}`
  let logged = 'nothing'
  console.warn = () => {}
  console.error = (_, text, error) => { logged = `${text} ${error.name}` }
  const client = usermavenClient({ key: 'key', trackingHost: host })
  for (const event of ['A', 'B']) {
    const returned = client.track(event, { userId: 'ada' })
    await new Promise((resolve) => setTimeout(resolve, 2000))
    console.log(`${event}: returned ${returned}, ${requests} requests, logged: ${logged}`)
  }
  await fetch(`${host}/api/v1/s2s/event?token=key`, { method: 'POST', body: '[]' })
  console.log(`the same request, made by fetch: ${requests} request`)
  process.exit()
})
EOF
NODE_EXTRA_CA_CERTS=cert.pem timeout 60 node main.js | tee seen
diff - seen <<'EOF'
A: returned undefined, 0 requests, logged: Failed to send batch TypeError
B: returned undefined, 0 requests, logged: Failed to send batch TypeError
the same request, made by fetch: 1 request
EOF
