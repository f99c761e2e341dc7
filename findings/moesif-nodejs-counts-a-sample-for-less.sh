#!/usr/bin/env bash
# moesif-nodejs 3.11.0: of the requests to an API only a part is sent, by the sample_rate that the
# middleware fetches from Moesif. Each of these has a weight, 100 divided by the rate, by which it
# stands for the others as well. But the weight is rounded down. So from 51 to 99 per cent it is
# 1, as if nothing had been left out: at 60 per cent, four of ten requests are neither sent nor
# counted. At 40 per cent a fifth is missing. Only at 100, 50, 25, 20 per cent and the like are
# the numbers right. If the rate is lowered from 60 to 50 per cent, the requests seem to grow.
#
# Expected: the weights of what is sent add up to what there was.
# Seen, of 300 requests, where Math.random is replaced by an even series:
#   100 per cent: 300 sent, weight 1, counted as 300
#   60 per cent: 180 sent, weight 1, counted as 180
#   50 per cent: 150 sent, weight 2, counted as 300
#   40 per cent: 120 sent, weight 2, counted as 240
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund moesif-nodejs@3.11.0
cat >main.js <<'EOF'
const http = require('node:http')
const zlib = require('node:zlib')
const moesif = require('moesif-nodejs')

const requests = 300
const rate = Number(process.argv[2])
let drawn = 0
Math.random = () => (drawn++ % requests + 0.5) / requests

const events = []
const collector = http.createServer(async (req, res) => {
  const chunks = []
  for await (const chunk of req) chunks.push(chunk)
  if (req.url.endsWith('/config')) return res.setHeader('Content-Type', 'application/json').end(`{"sample_rate":${rate}}`)
  if (req.url.endsWith('/batch')) events.push(...JSON.parse(zlib.gunzipSync(Buffer.concat(chunks))))
  res.end('[]')
})
const listen = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
const pause = () => new Promise((resolve) => setTimeout(resolve, 2000))

async function main () {
  const baseUri = `http://127.0.0.1:${await listen(collector)}`
  const middleware = moesif({ applicationId: 'key'.repeat(20), baseUri, batchMaxTime: 600, disableTransactionId: true })
  const port = await listen(http.createServer((req, res) => middleware(req, res, () => res.end())))
  const request = () => new Promise((resolve) => http.get({ host: '127.0.0.1', port }, (res) => res.resume().on('end', resolve)))
  await request() // the first has the middleware fetch the rate
  await pause()
  events.length = drawn = 0
  for (let i = 0; i < requests; i++) await request()
  await pause()
  const weights = events.map(({ weight }) => weight)
  console.log(`${rate} per cent: ${events.length} sent, weight ${[...new Set(weights)]}, counted as ${weights.reduce((sum, weight) => sum + weight)}`)
  process.exit()
}

main()
EOF
for rate in 100 60 50 40; do
	timeout 60 node main.js $rate
done | tee seen
diff - seen <<'EOF'
100 per cent: 300 sent, weight 1, counted as 300
60 per cent: 180 sent, weight 1, counted as 180
50 per cent: 150 sent, weight 2, counted as 300
40 per cent: 120 sent, weight 2, counted as 240
EOF
