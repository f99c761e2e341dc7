#!/usr/bin/env bash
# @telemetrydeck/sdk 2.0.4 (Node and browsers): signals that were queued wait in a store until
# flush. The README says how to write a store of one's own that outlives the program, and
# that it is cleared after flush. It is cleared as soon as the request is under way, so that
# a 503, or no network, which such a store is for, takes all signals with it. The promise of
# flush is even fulfilled after a 503. And what is queued just before flush, without
# waiting for its promise, is left behind, since a signal is stored only once it is hashed.
#
# Expected: the store is cleared when the server has accepted what was in it.
# Seen, of queue("A"), queue("B"), flush(), with a store that writes a file:
#   200: flush is fulfilled with 200, received A B, the file has none
#   503: flush is fulfilled with 503, received none, the file has none
#   nobody listens: flush is rejected, received none, the file has none
#   200, not waiting for queue: flush is fulfilled with 200, received none, the file has A B
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @telemetrydeck/sdk@2.0.4
cat >main.mjs <<'EOF'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import TelemetryDeck from '@telemetrydeck/sdk'

let status = 200
let received = []
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (status === 200) received.push(...JSON.parse(body))
  res.writeHead(status).end()
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const target = `http://127.0.0.1:${server.address().port}/`

class FileStore {
  constructor () { this.clear() }
  async push (signal) {
    signal = await signal
    fs.writeFileSync('signals', JSON.stringify([...this.values(), signal]))
  }

  values () { return JSON.parse(fs.readFileSync('signals')) }
  clear () { fs.writeFileSync('signals', '[]') }
}

async function run (what, wait = true) {
  const store = new FileStore()
  const client = new TelemetryDeck({ appID: 'app', clientUser: 'ada', target, store })
  received = []
  const queued = ['A', 'B'].map((type) => client.queue(type))
  if (wait) await Promise.all(queued)
  const outcome = await client.flush().then((response) => 'fulfilled with ' + response.status, () => 'rejected')
  await Promise.all(queued)
  const types = (signals) => signals.map((signal) => signal.type).sort().join(' ') || 'none'
  console.log(`${what}: flush is ${outcome}, received ${types(received)}, the file has ${types(store.values())}`)
}

await run('200')
status = 503
await run('503')
status = 200
server.close()
server.closeAllConnections()
await run('nobody listens')
await once(server.listen(new URL(target).port, '127.0.0.1'), 'listening')
await run('200, not waiting for queue', false)
process.exit(0)
EOF
timeout 60 node main.mjs | tee seen
diff - seen <<'EOF'
200: flush is fulfilled with 200, received A B, the file has none
503: flush is fulfilled with 503, received none, the file has none
nobody listens: flush is rejected, received none, the file has none
200, not waiting for queue: flush is fulfilled with 200, received none, the file has A B
EOF
