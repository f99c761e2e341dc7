#!/usr/bin/env bash
# @analytics/segment 2.1.0 with analytics 0.8.19, in Node: the plugin hands one object of
# options to analytics-node 6.2.0, which it depends on, and which takes the write key first
# and the options after it. So the object is the key, and the options count for nothing: the
# host, the batch size and the interval are the defaults. Everything goes to
# api.segment.io, whatever host was given, with the write key "[object Object]".
#
# Expected: the events go to the host given, with the key given.
# Seen, of segmentPlugin({writeKey: 'key', host: 'http://127.0.0.1:...', maxEventsInBatch: 2}):
#   POST https://api.segment.io/v1/batch, the write key is "[object Object]": 1 event
#   asked of the host given: nothing
#
# Nothing leaves the machine: this script plays the proxy that HTTPS_PROXY names. Needs
# Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund analytics@0.8.19 @analytics/segment@2.1.0 analytics-node@6.2.0
cat >main.js <<'EOF'
const http = require('node:http')
const { once } = require('node:events')
const { Analytics } = require('analytics')
const segmentPlugin = require('@analytics/segment')

async function main () {
  const given = []
  const host = http.createServer((req, res) => {
    given.push(req.url)
    res.end('{}')
  }).listen(0, '127.0.0.1')
  const proxy = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    const key = Buffer.from(req.headers.authorization.replace('Basic ', ''), 'base64').toString().replace(/:$/, '')
    console.log(`${req.method} ${req.url}, the write key is ${JSON.stringify(key)}: ${JSON.parse(body).batch.length} event`)
    res.end('{"success":true}')
    setTimeout(() => { // time for what else may come
      console.log('asked of the host given: ' + (given.join(' ') || 'nothing'))
      process.exit(0)
    }, 2000)
  }).listen(0, '127.0.0.1')
  await Promise.all([once(host, 'listening'), once(proxy, 'listening')])
  process.env.HTTPS_PROXY = `http://127.0.0.1:${proxy.address().port}`

  const plugin = segmentPlugin({ writeKey: 'key', host: `http://127.0.0.1:${host.address().port}`, maxEventsInBatch: 2 })
  const analytics = Analytics({ app: 'shop', plugins: [plugin] })
  analytics.track('Bought')
}
main()
EOF
env -u NO_PROXY -u no_proxy -u HTTP_PROXY -u http_proxy -u https_proxy timeout 60 node main.js | tee seen
diff - seen <<'EOF'
POST https://api.segment.io/v1/batch, the write key is "[object Object]": 1 event
asked of the host given: nothing
EOF
