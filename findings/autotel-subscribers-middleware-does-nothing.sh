#!/usr/bin/env bash
# autotel-subscribers 56.0.1 (Node): a subscriber is made by extending EventSubscriber, and can have
# middleware before it, which by the README retries, batches and throttles. But EventSubscriber
# catches and logs whatever a request throws. retryMiddleware and circuitBreakerMiddleware wait for
# that, so that they see a success each time, and what fails is lost. So is what batchingMiddleware
# holds when the program ends: shutdown, which by its doc makes sure that nothing is lost, does
# not empty it, and has the subscriber refuse it when its time has come. A batch, too, is no
# request, but one for each event. And rateLimitMiddleware has all events that come at once
# wait for the same moment, and then go together.
#
# Expected: an event that fails is tried again; after shutdown each has been sent.
# Seen, of an EventSubscriber with each middleware:
#   retryMiddleware({maxRetries: 3}), the first request fails: 1 request, 0 delivered, track is fulfilled
#   the same, of a subscriber that throws: 2 requests, 1 delivered, track is fulfilled
#   batchingMiddleware({batchSize: 2}), 4 events: 4 requests, 4 delivered
#   batchingMiddleware({batchSize: 100}), 4 events, shutdown, 1 second: 0 requests, 0 delivered
#   rateLimitMiddleware({requestsPerSecond: 10}), 20 events: 20 delivered within a second
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund autotel-subscribers@56.0.1 autotel@7.6.1
cat >main.mjs <<'EOF'
import { EventSubscriber } from 'autotel-subscribers'
import { applyMiddleware, batchingMiddleware, rateLimitMiddleware, retryMiddleware } from 'autotel-subscribers/middleware'

let requests
let delivered
let failures
const request = async ({ name }) => {
  requests++
  if (failures-- > 0) throw new Error('503')
  delivered.push(name)
}
class Subscriber extends EventSubscriber {
  name = 'Subscriber'
  sendToDestination (payload) { return request(payload) }
  handleError () {} // as it is by default, but for the log
}
const throwing = { name: 'throwing', trackEvent: (name) => request({ name }) }
const start = (failing = 0) => { requests = 0; delivered = []; failures = failing }
const requestsNow = () => requests === 1 ? '1 request' : `${requests} requests`
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const show = (what, how = '') => console.log(`${what}: ${requestsNow()}, ${delivered.length} delivered${how}`)

for (const [subscriber, what] of [
  [new Subscriber(), 'retryMiddleware({maxRetries: 3}), the first request fails'],
  [throwing, 'the same, of a subscriber that throws']
]) {
  start(1)
  const tracked = applyMiddleware(subscriber, [retryMiddleware({ maxRetries: 3, delayMs: 10 })]).trackEvent('Bought')
  show(what, await tracked.then(() => ', track is fulfilled', () => ', track is rejected'))
}

const track = (subscriber, n) => Array.from({ length: n }, () => subscriber.trackEvent('Bought'))
start()
await Promise.all(track(applyMiddleware(new Subscriber(), [batchingMiddleware({ batchSize: 2 })]), 4))
show('batchingMiddleware({batchSize: 2}), 4 events')

start()
const batching = applyMiddleware(new Subscriber(), [batchingMiddleware({ batchSize: 100, flushInterval: 500 })])
track(batching, 4)
await batching.shutdown()
await pause(1000)
show('batchingMiddleware({batchSize: 100}), 4 events, shutdown, 1 second')

start()
track(applyMiddleware(new Subscriber(), [rateLimitMiddleware({ requestsPerSecond: 10 })]), 20)
await pause(1000)
console.log(`rateLimitMiddleware({requestsPerSecond: 10}), 20 events: ${delivered.length} delivered within a second`)
EOF
timeout 60 node main.mjs | tee seen
diff - seen <<'EOF'
retryMiddleware({maxRetries: 3}), the first request fails: 1 request, 0 delivered, track is fulfilled
the same, of a subscriber that throws: 2 requests, 1 delivered, track is fulfilled
batchingMiddleware({batchSize: 2}), 4 events: 4 requests, 4 delivered
batchingMiddleware({batchSize: 100}), 4 events, shutdown, 1 second: 0 requests, 0 delivered
rateLimitMiddleware({requestsPerSecond: 10}), 20 events: 20 delivered within a second
EOF
