#!/usr/bin/env bash
# @walkeros/server-destination-api 4.2.1 with @walkeros/collector 4.2.1 (Node): the collector
# tells for each event which destinations are done and which failed, counts failures and
# keeps the events in the destination's dlq. But the API destination does not look at what
# becomes of its request, whose helper reports failures in its answer and throws nothing.
# So 503 is done, and so is a connection that nobody takes. The event is gone, and the
# dlq and the counters of the collector show a destination in good health.
#
# Expected: what was not accepted is in failed, as an error of a destination is.
# Seen, of elb({name: 'order complete'}):
#   200: ok true, done: api, failed: none, counted 1 sent and 0 failed, dlq 0
#   503: ok true, done: api, failed: none, counted 2 sent and 0 failed, dlq 0
#   nobody listens: ok true, done: api, failed: none, counted 3 sent and 0 failed, dlq 0
#   a destination that throws: ok false, done: none, failed: other, counted 0 sent and 1 failed, dlq 1
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @walkeros/collector@4.2.1 @walkeros/server-destination-api@4.2.1
cat >main.mjs <<'EOF'
import { once } from 'node:events'
import http from 'node:http'
import { startFlow } from '@walkeros/collector'
import { destinationAPI } from '@walkeros/server-destination-api'

let status = 200
const server = http.createServer((req, res) => {
  req.resume().on('end', () => res.writeHead(status).end())
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${server.address().port}/`

async function start (name, destination) {
  const { collector, elb } = await startFlow({
    run: true, logger: { handler () {} }, destinations: { [name]: destination }
  })
  return async (what) => {
    const { ok, done = {}, failed = {} } = await elb({ name: 'order complete', data: { id: 'order-1' } })
    const names = (refs) => Object.keys(refs).join() || 'none'
    const { count, failed: lost } = collector.status.destinations[name]
    console.log(`${what}: ok ${ok}, done: ${names(done)}, failed: ${names(failed)}, ` +
      `counted ${count} sent and ${lost} failed, dlq ${collector.destinations[name].dlq?.length ?? 0}`)
  }
}

const send = await start('api', { code: destinationAPI, config: { settings: { url } } })
await send('200')
status = 503
await send('503')
server.close()
server.closeAllConnections()
await send('nobody listens')
const fail = await start('other', { code: { type: 'other', config: {}, push () { throw new Error('no') } } })
await fail('a destination that throws')
process.exit(0)
EOF
timeout 60 node main.mjs | tee seen
diff - seen <<'EOF'
200: ok true, done: api, failed: none, counted 1 sent and 0 failed, dlq 0
503: ok true, done: api, failed: none, counted 2 sent and 0 failed, dlq 0
nobody listens: ok true, done: api, failed: none, counted 3 sent and 0 failed, dlq 0
a destination that throws: ok false, done: none, failed: other, counted 0 sent and 1 failed, dlq 1
EOF
