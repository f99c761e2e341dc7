#!/usr/bin/env bash
# avro-schema-registry 2.1.5 with avsc 5.7.9 (Node): by the README, encodeMessage and encodeKey register the
# schema under the subject of the topic, if it is not there already. What was registered is remembered
# by the schema alone. So of two topics with one schema, such as a text for the key of each, only the
# first is ever registered. The second has no subject in the registry: its messages can be decoded by
# their id, but nothing that asks for the topic's schema finds one, nor does a rule of compatibility
# hold for it. And the answer is remembered before it is there: where the registry fails
# once, each later message of the schema is rejected, until the program ends.
#
# Expected: each topic has its subject; a registry that is back is asked again.
# Seen, of one schema:
#   encodeMessage("orders"): registered orders-value
#   encodeMessage("refunds"): registered nothing, though the promise is fulfilled
#   encodeMessageByTopicName("orders-value"): fulfilled
#   encodeMessageByTopicName("refunds-value"): rejected, Subject not found
#   the registry answers 503, then 200: rejected, then rejected, 1 request
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund avro-schema-registry@2.1.5 avsc@5.7.9
cat >main.js <<'EOF'
const http = require('node:http')
const registry = require('avro-schema-registry')

// As much of a schema registry as the client asks for.
const subjects = {}
let fails = false
let requests = 0
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  requests++
  const subject = req.url.split('/')[2]
  const answer = (status, what) => res.writeHead(status, { 'Content-Type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(what))
  if (fails) return answer(503, { error_code: 50301, message: 'Not ready' })
  if (req.method === 'GET') {
    if (!subjects[subject]) return answer(404, { error_code: 40401, message: 'Subject not found' })
    return answer(200, req.url.endsWith('/versions') ? [1] : { id: 1, schema: subjects[subject] })
  }
  subjects[subject] = JSON.parse(body).schema
  answer(200, { id: Object.keys(subjects).length })
})

server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`
  const schema = { type: 'record', name: 'Order', fields: [{ name: 'order', type: 'int' }] }
  const client = registry(url)
  const encode = async (topic) => {
    const before = Object.keys(subjects).length
    await client.encodeMessage(topic, schema, { order: 1 })
    const added = Object.keys(subjects).slice(before)
    console.log(`encodeMessage("${topic}"): registered ${added.join(' ') || 'nothing, though the promise is fulfilled'}`)
  }
  await encode('orders')
  await encode('refunds')
  for (const subject of ['orders-value', 'refunds-value']) {
    const found = await client.encodeMessageByTopicName(subject, { order: 1 }).then(() => 'fulfilled', (error) => `rejected, ${error.message.split(' - ')[1]}`)
    console.log(`encodeMessageByTopicName("${subject}"): ${found}`)
  }

  const other = registry(url)
  const said = []
  requests = 0
  for (fails of [true, false]) said.push(await other.encodeMessage('orders', schema, { order: 1 }).then(() => 'fulfilled', () => 'rejected'))
  console.log(`the registry answers 503, then 200: ${said.join(', then ')}, ${requests} request${requests === 1 ? '' : 's'}`)
  process.exit()
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
encodeMessage("orders"): registered orders-value
encodeMessage("refunds"): registered nothing, though the promise is fulfilled
encodeMessageByTopicName("orders-value"): fulfilled
encodeMessageByTopicName("refunds-value"): rejected, Subject not found
the registry answers 503, then 200: rejected, then rejected, 1 request
EOF
