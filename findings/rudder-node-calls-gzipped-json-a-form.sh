#!/usr/bin/env bash
# @rudderstack/rudder-sdk-node 3.0.13: a batch is gzipped JSON, which is the default,
# and is labelled as an HTML form. Without gzip the label is right. A proxy or a
# framework that goes by Content-Type parses it as a form, and finds nothing.
#
# Seen:
#   gzip:    encoding=gzip type=application/x-www-form-urlencoded body=JSON
#   no gzip: encoding=none type=application/json body=JSON
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @rudderstack/rudder-sdk-node@3.0.13
cat >main.js <<'EOF'
const http = require('node:http')
const zlib = require('node:zlib')
const RudderAnalytics = require('@rudderstack/rudder-sdk-node')

async function seen (gzip) {
  const server = http.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const request = new Promise((resolve) => server.on('request', async (req, res) => {
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    res.end('OK')
    let body = Buffer.concat(chunks)
    const encoding = req.headers['content-encoding'] || 'none'
    if (encoding === 'gzip') body = zlib.gunzipSync(body)
    JSON.parse(body)
    resolve(`encoding=${encoding} type=${req.headers['content-type'].split(';')[0]} body=JSON`)
  }))
  const analytics = new RudderAnalytics('key', { dataPlaneUrl: `http://127.0.0.1:${server.address().port}`, gzip })
  analytics.track({ userId: 'ada', event: 'A' })
  return request
}

async function main () {
  console.log('gzip:    ' + await seen(true))
  console.log('no gzip: ' + await seen(false))
  process.exit(0)
}
main()
EOF
node main.js | tee seen
diff - seen <<'EOF'
gzip:    encoding=gzip type=application/x-www-form-urlencoded body=JSON
no gzip: encoding=none type=application/json body=JSON
EOF
