#!/usr/bin/env bash
# firehoser 1.3.6 with aws-sdk 2.1693.0 (Node): by the README, the promise of putRecord is resolved
# once the data has been accepted by AWS. The two streams with a queue hold one promise for the batch
# to come. They let go of it only when the batch has been answered, not when it is sent. So a record
# that comes while a batch is under way is given the promise of that batch. It is fulfilled while the
# record waits in memory, where it is lost if the program then ends. Nobody hears what becomes of the
# record's own batch. And if the batch before it is refused, the record is rejected, but sent all the
# same, so that a program that repeats what was rejected stores it twice.
#
# Expected: a record's promise tells what became of that record.
# Seen, of A and B, which are a batch, and of C, which is put while the batch is under way:
#   A and B accepted: C is fulfilled when Firehose has A B
#   A and B refused: C is rejected when Firehose has none, and a second later it has C
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund firehoser@1.3.6 aws-sdk@2.1693.0
cat >main.js <<'EOF'
const http = require('node:http')
const { QueueableJSONDeliveryStream } = require('firehoser')

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const records = (names) => names.length ? names.join(' ') : 'none'

async function run (what, status) {
  const stored = []
  let requests = 0
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    const batch = JSON.parse(body).Records.map(({ Data }) => JSON.parse(Buffer.from(Data, 'base64')).name)
    const answer = ++requests === 1 ? status : 200
    if (requests === 1) await pause(300)
    res.writeHead(answer, { 'Content-Type': 'application/x-amz-json-1.1' })
    if (answer !== 200) return res.end('{"__type":"InvalidArgumentException","message":"no"}')
    stored.push(...batch)
    res.end(JSON.stringify({ FailedPutCount: 0, RequestResponses: batch.map(() => ({ RecordId: 'id' })) }))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const stream = new QueueableJSONDeliveryStream('orders', 1000, 2, {
    endpoint: `http://127.0.0.1:${server.address().port}`, region: 'eu-west-1', accessKeyId: 'id', secretAccessKey: 'secret'
  })
  stream.putRecord({ name: 'A' }).catch(() => {})
  stream.putRecord({ name: 'B' }).catch(() => {})
  await pause(100)
  const said = await stream.putRecord({ name: 'C' }).then(() => 'fulfilled', () => 'rejected')
  const then = records(stored)
  await pause(1500)
  const later = said === 'rejected' ? `, and a second later it has ${records(stored)}` : ''
  console.log(`${what}: C is ${said} when Firehose has ${then}${later}`)
  server.closeAllConnections()
  server.close()
}

run('A and B accepted', 200).then(() => run('A and B refused', 400)).then(() => process.exit())
EOF
timeout 60 env AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1 node --no-deprecation main.js | tee seen
diff - seen <<'EOF'
A and B accepted: C is fulfilled when Firehose has A B
A and B refused: C is rejected when Firehose has none, and a second later it has C
EOF
