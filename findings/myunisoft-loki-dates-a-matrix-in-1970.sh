#!/usr/bin/env bash
# @myunisoft/loki 6.0.0 (Node): by the README one may log in with a username and a password ("classic").
# These are sent without the word Basic before them, so that Grafana, or a proxy before Loki, sees no
# login. And each answer has a timerange, of the first and the last of what was found. Loki gives
# nanoseconds for a log and seconds for a number of a matrix. The package divides both by a million.
# So the range of logs is in milliseconds, and that of a matrix, in the same unit, is from the first
# two seconds of 1970. A program that goes on from there with its next query begins at the wrong end of
# time. Nothing of it is an error.
#
# Expected: the timerange is that of the logs or numbers; the login is one.
# Seen, of what happened at 1767323045, which is 2026-01-02T03:04:05Z:
#   authorization: YWRhOnNlY3JldA==
#   queryRange, of a log: timerange 1767323045000 1767323045000
#   queryRangeStream, of a log: timerange 1767323045000 1767323045000
#   queryRangeMatrix: timerange 1767 1767
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @myunisoft/loki@6.0.0
cat >main.js <<'EOF'
const http = require('node:http')
const { GrafanaApi } = require('@myunisoft/loki')

let data
let authorization
const server = http.createServer((req, res) => {
  authorization = req.headers.authorization
  res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ status: 'success', data }))
})

server.listen(0, '127.0.0.1', async () => {
  const { Loki } = new GrafanaApi({
    remoteApiURL: `http://127.0.0.1:${server.address().port}`,
    authentication: { type: 'classic', username: 'ada', password: 'secret' }
  })
  data = { resultType: 'streams', result: [{ stream: { app: 'shop' }, values: [['1767323045000000000', 'Bought']] }] }
  const logs = await Loki.queryRange('{app="shop"}')
  console.log(`authorization: ${authorization}`)
  console.log(`queryRange, of a log: timerange ${logs.timerange.join(' ')}`)
  const streams = await Loki.queryRangeStream('{app="shop"}')
  console.log(`queryRangeStream, of a log: timerange ${streams.timerange.join(' ')}`)
  data = { resultType: 'matrix', result: [{ metric: { app: 'shop' }, values: [[1767323045, '3']] }] }
  const matrix = await Loki.queryRangeMatrix('count_over_time({app="shop"}[1m])')
  console.log(`queryRangeMatrix: timerange ${matrix.timerange.join(' ')}`)
  process.exit()
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
authorization: YWRhOnNlY3JldA==
queryRange, of a log: timerange 1767323045000 1767323045000
queryRangeStream, of a log: timerange 1767323045000 1767323045000
queryRangeMatrix: timerange 1767 1767
EOF
