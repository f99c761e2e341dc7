#!/usr/bin/env bash
# @snowplow/node-tracker 3.24.6, the last that has gotEmitter: its parameter retry goes to got
# 11, the library that makes the requests. got does not repeat a POST unless retry names the
# method, so that a number does nothing, and one 503 is the end of all events of the batch.
# With GET the same number works. The doc of retry has a link to got's, where that
# is said in the middle of a list. A callback is told, by its doc after all retries.
#
# Expected: with retry 5 a 503 is followed by a second try, whatever the method.
# Seen, from a server that answers the first request with 503:
#   get, retry 5: 2 requests, delivered
#   post, retry 5: 1 request, not delivered, the callback: Response code 503 (Service Unavailable)
#   post, retry {limit: 5, methods: ["POST"]}: 2 requests, delivered
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @snowplow/node-tracker@3.24.6
cat >main.js <<'EOF'
const { once } = require('node:events')
const http = require('node:http')
const { buildStructEvent, gotEmitter, tracker } = require('@snowplow/node-tracker')

async function run (method, retry, name) {
  let requests = 0
  let delivered = false
  const server = http.createServer((req, res) => req.resume().on('end', () => {
    delivered = ++requests > 1
    res.writeHead(delivered ? 200 : 503).end()
  })).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let error = ''
  await new Promise((resolve) => {
    const told = (failure) => {
      if (failure) error = ', the callback: ' + failure.message
      setTimeout(resolve, 5000) // long enough for another try
    }
    const emitter = gotEmitter('127.0.0.1', 'http', server.address().port, method, 1, retry, undefined, told)
    tracker(emitter, 'name', 'shop', false).track(buildStructEvent({ category: 'shop', action: 'bought' }))
  })
  server.close()
  console.log(`${method}, retry ${name}: ${requests} request${requests > 1 ? 's' : ''}, ` +
    `${delivered ? '' : 'not '}delivered${error}`)
}

async function main () {
  await run('get', 5, '5')
  await run('post', 5, '5')
  await run('post', { limit: 5, methods: ['POST'] }, '{limit: 5, methods: ["POST"]}')
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
get, retry 5: 2 requests, delivered
post, retry 5: 1 request, not delivered, the callback: Response code 503 (Service Unavailable)
post, retry {limit: 5, methods: ["POST"]}: 2 requests, delivered
EOF
