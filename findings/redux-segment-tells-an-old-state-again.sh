#!/usr/bin/env bash
# redux-segment 1.6.2 (Node and browsers): with a mapper, a function makes an event of an action and of the
# state of the store. What it returns is written into the action, which is the program's, and an
# action that has an event in it is not asked about again. So an action that is made once and
# dispatched often, as one without a payload may well be, is reported with the state of the first
# time for ever: the total of the first order, and the person who was logged in then. The store
# itself is right, and so is what is reported of an action that is made anew each time. A second
# tracker, for another client, never has its own mapper called at all, even the first time.
#
# Expected: the function is called each time, and the action stays as it is.
# Seen, of two orders, 10 by ada and 99 by bob:
#   made anew each time: Ordered 10 by ada, Ordered 99 by bob
#   one action, dispatched twice: Ordered 10 by ada, Ordered 10 by ada
#   that action now: {"type":"ORDER","meta":{"analytics":{"eventType":"track","eventPayload":{"event":"Ordered","properties":{"total":10,"by":"ada"}}}}}
#   a second tracker with a mapper of its own (Sold), made anew each time: Ordered 10 by ada, Ordered 99 by bob
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund redux-segment@1.6.2 redux@5.0.1
cat >main.js <<'EOT'
const { applyMiddleware, legacy_createStore: createStore } = require('redux')
const { createTracker, EventTypes } = require('redux-segment')

const orders = { ada: 10, bob: 99 }
const reduce = (state = {}, action) => action.type === 'LOGIN' ? { by: action.by, total: orders[action.by] } : state

function tracker (seen, event) {
  const client = { track: (event, properties) => seen.push(`${event} ${properties.total} by ${properties.by}`) }
  const mapper = { ORDER: (getState) => ({ eventType: EventTypes.track, eventPayload: { event, properties: { total: getState().total, by: getState().by } } }) }
  return createTracker({ client, mapper })
}

function run (what, order) {
  const first = []
  const second = []
  const store = createStore(reduce, applyMiddleware(tracker(first, 'Ordered'), tracker(second, 'Sold')))
  for (const by of ['ada', 'bob']) {
    store.dispatch({ type: 'LOGIN', by })
    store.dispatch(order())
  }
  console.log(`${what}: ${first.join(', ')}`)
  return second
}

const second = run('made anew each time', () => ({ type: 'ORDER' }))
const action = { type: 'ORDER' }
run('one action, dispatched twice', () => action)
console.log(`that action now: ${JSON.stringify(action)}`)
console.log(`a second tracker with a mapper of its own (Sold), made anew each time: ${second.join(', ')}`)
EOT
timeout 30 node main.js | tee seen
diff - seen <<'EOT'
made anew each time: Ordered 10 by ada, Ordered 99 by bob
one action, dispatched twice: Ordered 10 by ada, Ordered 10 by ada
that action now: {"type":"ORDER","meta":{"analytics":{"eventType":"track","eventPayload":{"event":"Ordered","properties":{"total":10,"by":"ada"}}}}}
a second tracker with a mapper of its own (Sold), made anew each time: Ordered 10 by ada, Ordered 99 by bob
EOT
