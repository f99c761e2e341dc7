#!/usr/bin/env bash
# gosquared 3.1.0 (Node): a person is made with createPerson("user-17"). To set a property
# email, such as after a change of address, makes that address the person's id, in this
# request and in all after it, unless the properties have an id as well. So "user-17"
# never gets the properties, and what is done from then on is done by somebody new.
# And the object with which a program describes a request (its address, its page) is kept and
# written into, not copied: an order made with it belongs to whoever is next given the
# same object, which also carries the order into that person's events.
#
# Expected: the person is the one that createPerson was given.
# Seen:
#   "Viewed" by user-17: person_id=user-17
#   setProperties({plan: "gold"}): person_id=user-17
#   setProperties({email: "ada@shop.example"}): person_id=email:ada@shop.example
#   "Bought" by user-17: person_id=email:ada@shop.example
#   ada's order, after bob was given its object: person_id=bob
#   "Viewed" by bob, with that object: person_id=bob, with order-1
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund gosquared@3.1.0
cat >main.js <<'EOF'
const { once } = require('node:events')
const http = require('node:http')
const { promisify } = require('node:util')
const config = require('gosquared/config')
const GoSquared = require('gosquared')

let received
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  received = JSON.parse(body)
  res.end('{"success":true}')
})

async function say (what, call) {
  await promisify(call)()
  const order = received.event && received.transaction ? ', with ' + received.transaction.id : ''
  console.log(`${what}: person_id=${received.person_id}${order}`)
}

async function main () {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  config.endpoint = `http://127.0.0.1:${server.address().port}`
  const client = new GoSquared({ api_key: 'key', site_token: 'token' })
  const person = client.createPerson('user-17')
  await say('"Viewed" by user-17', (done) => person.trackEvent('Viewed', {}, done))
  await say('setProperties({plan: "gold"})', (done) => person.setProperties({ plan: 'gold' }, done))
  const email = 'ada@shop.example'
  await say(`setProperties({email: "${email}"})`, (done) => person.setProperties({ email }, done))
  await say('"Bought" by user-17', (done) => person.trackEvent('Bought', {}, done))

  const office = { ip: '192.0.2.1' }
  const bob = client.createPerson('bob')
  const order = client.createPerson('ada').createTransaction('order-1', {}, office)
  order.addItem('mug', { price: 10, quantity: 1 })
  bob.createTransaction('order-2', {}, office)
  await say("ada's order, after bob was given its object", (done) => order.track(done))
  await say('"Viewed" by bob, with that object', (done) => bob.trackEvent('Viewed', {}, office, done))
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
"Viewed" by user-17: person_id=user-17
setProperties({plan: "gold"}): person_id=user-17
setProperties({email: "ada@shop.example"}): person_id=email:ada@shop.example
"Bought" by user-17: person_id=email:ada@shop.example
ada's order, after bob was given its object: person_id=bob
"Viewed" by bob, with that object: person_id=bob, with order-1
EOF
