#!/usr/bin/env bash
# splunk-logging 0.11.1 (Node): by its doc the time of an event is a date string, a timestamp or a
# Date. A date string is never parsed. If it has a fraction of a second, its year is taken for the
# seconds since 1970, so that whatever happens in 2026 happened on the first of January 1970, at
# 00:33:46. If it has none, the time is NaN. Milliseconds with a fraction, as those of
# performance.timeOrigin, are taken for seconds. And by the doc maxRetries is how often a POST
# that fails is repeated. But only a connection that fails is repeated. A 503 is not, such as
# Splunk's own that it is busy, and the callback is given no error.
#
# Expected: the event has its time, or there is an error; a 503 is a failure.
# Seen, of metadata.time for the same moment, and of answers with maxRetries 3:
#   Date: 1767323045.678
#   date string: 2026.000
#   date string without a fraction: NaN
#   milliseconds: 1767323045.678
#   milliseconds with a fraction: 1767323045678.000
#   200 Success: 1 request, the callback: no error
#   503 Server is busy: 1 request, the callback: no error
#   503 with HTML: 1 request, the callback: no error
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund splunk-logging@0.11.1
cat >main.js <<'EOF'
const http = require('node:http')
const { Logger } = require('splunk-logging')

const moment = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const times = {
  Date: new Date(moment),
  'date string': new Date(moment).toISOString(),
  'date string without a fraction': '2026-01-02T03:04:05Z',
  milliseconds: moment,
  'milliseconds with a fraction': moment + 0.25
}
const success = '{"text":"Success","code":0}'
const answers = {
  '200 Success': ['application/json', success],
  '503 Server is busy': ['application/json', '{"text":"Server is busy","code":9}'],
  '503 with HTML': ['text/html', '<title>503</title>']
}
let answer = [200, 'application/json', success]
let requests
let received
const server = http.createServer(async (req, res) => {
  received = ''
  for await (const chunk of req) received += chunk
  requests++
  res.writeHead(answer[0], { 'Content-Type': answer[1] }).end(answer[2])
})
server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`
  const logger = new Logger({ token: 'token', url, maxRetries: 3 })
  logger.error = () => {}
  const send = (metadata) => new Promise((resolve) => logger.send({ message: 'Bought', metadata }, resolve))
  for (const [what, time] of Object.entries(times)) {
    await send({ time })
    console.log(`${what}: ${JSON.parse(received).time}`)
  }
  for (const [what, [type, body]] of Object.entries(answers)) {
    answer = [parseInt(what), type, body]
    requests = 0
    const error = await send({})
    console.log(`${what}: ${requests} request, the callback: ${error ? error.message : 'no error'}`)
  }
  server.close()
  server.closeAllConnections()
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
Date: 1767323045.678
date string: 2026.000
date string without a fraction: NaN
milliseconds: 1767323045.678
milliseconds with a fraction: 1767323045678.000
200 Success: 1 request, the callback: no error
503 Server is busy: 1 request, the callback: no error
503 with HTML: 1 request, the callback: no error
EOF
