#!/usr/bin/env bash
# aws-kinesis-writable 4.3.0 with aws-sdk 2.1693.0 (Node, by Auth0): a request to Kinesis has a list of
# records, and its answer, a 200, says for each whether it was stored. Where a shard is beyond
# its limit some are not, which Amazon's doc asks to send again. This stream looks at no record of the
# answer: they are gone, and the event error, by the README emitted every time that records failed,
# is not emitted. The options buffer of all streams in a process are one object, that of the defaults,
# so that each new stream changes those before it. And by the README the credentials come from
# where every other client finds them. But a stream without any sets those of the whole process to
# the metadata of an EC2 machine, so that other clients of the program lose the ones it had set.
#
# Expected: what was not stored is sent again, or is an error; a stream has its own options.
# Seen, of records 1 to 4, of which Kinesis stores 1 and 3:
#   1 request, stored: 1 3, errors: none
#   first stream, length 4, of 4 records: sent 1 2 3 4
#   first stream, after a second one with length 100 was made: sent nothing
#   AWS.config.credentials: were Credentials, are EC2MetadataCredentials
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund aws-kinesis-writable@4.3.0 aws-sdk@2.1693.0
cat >main.js <<'EOF'
const http = require('node:http')
const AWS = require('aws-sdk')
const KinesisStream = require('aws-kinesis-writable')

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let requests = 0
let sent = []
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  const orders = JSON.parse(body).Records.map(({ Data }) => JSON.parse(Buffer.from(Data, 'base64')).order)
  requests++
  sent.push(...orders)
  const failed = { ErrorCode: 'ProvisionedThroughputExceededException', ErrorMessage: 'Rate exceeded for shard' }
  const records = orders.map((order) => order % 2 ? { SequenceNumber: `${order}`, ShardId: 'shardId-000000000000' } : failed)
  res.writeHead(200, { 'Content-Type': 'application/x-amz-json-1.1' })
  res.end(JSON.stringify({ FailedRecordCount: records.filter(({ ErrorCode }) => ErrorCode).length, Records: records }))
})

server.listen(0, '127.0.0.1', async () => {
  AWS.config.credentials = new AWS.Credentials('id', 'secret')
  const before = AWS.config.credentials.constructor.name
  const errors = []
  const open = (length) => new KinesisStream({
    streamName: 'orders', partitionKey: 'shop', objectMode: true, region: 'eu-west-1', credentials: new AWS.Credentials('id', 'secret'),
    endpoint: `http://127.0.0.1:${server.address().port}`, buffer: { length }
  }).on('error', (error) => errors.push(error.message))
  const write = async (stream) => {
    sent = []
    for (const order of [1, 2, 3, 4]) stream.write({ order })
    await pause(2000)
  }

  const first = open(4)
  await write(first)
  console.log(`${requests} request, stored: ${sent.filter((order) => order % 2).join(' ')}, errors: ${errors.join(' ') || 'none'}`)
  console.log(`first stream, length 4, of 4 records: sent ${sent.join(' ') || 'nothing'}`)
  open(100)
  await write(first)
  console.log(`first stream, after a second one with length 100 was made: sent ${sent.join(' ') || 'nothing'}`)
  console.log(`AWS.config.credentials: were ${before}, are ${AWS.config.credentials.constructor.name}`)
  process.exit()
})
EOF
timeout 60 env AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1 node --no-deprecation main.js | tee seen
diff - seen <<'EOF'
1 request, stored: 1 3, errors: none
first stream, length 4, of 4 records: sent 1 2 3 4
first stream, after a second one with length 100 was made: sent nothing
AWS.config.credentials: were Credentials, are EC2MetadataCredentials
EOF
