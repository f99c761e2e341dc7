#!/usr/bin/env bash
# klaviyo-node 1.0.8 with axios 0.19.2: the client repeats its requests after a 503, a 429 or a
# failed connection, for which it puts an interceptor into axios. But it puts it into the
# package itself, and not into an instance of its own. In a program that has axios of the
# same version, which npm then installs once for both, each request of the program is repeated
# as well, from the moment at which a client is made. That goes for a POST too, such as one
# that charges a card, which axios-retry by itself leaves alone.
#
# Expected: a client for events changes no request but its own.
# Seen, of axios.post(...) by the program, to a server that answers 503:
#   without a Klaviyo: 1 request
#   with a Klaviyo: 4 requests
#   with axios.create() and a Klaviyo: 1 request
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund klaviyo-node@1.0.8 axios@0.19.2
cat >main.js <<'EOF'
const http = require('node:http')
const axios = require('axios')
const Klaviyo = require('klaviyo-node')

let requests
const server = http.createServer((req, res) => {
  requests++
  res.statusCode = 503
  res.end()
})

async function charge (what, client) {
  requests = 0
  await client.post(`http://127.0.0.1:${server.address().port}/charges`, { amount: 10 }).catch(() => {})
  console.log(`${what}: ${requests} request${requests === 1 ? '' : 's'}`)
}

server.listen(0, '127.0.0.1', async () => {
  await charge('without a Klaviyo', axios)
  new Klaviyo('key', { log: false }) // it is not even used
  await charge('with a Klaviyo', axios)
  await charge('with axios.create() and a Klaviyo', axios.create())
  process.exit(0)
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
without a Klaviyo: 1 request
with a Klaviyo: 4 requests
with axios.create() and a Klaviyo: 1 request
EOF
