#!/usr/bin/env bash
# sa-sdk-node 1.2.6 (Sensors Analytics): submitTo gives an instance its server. The first call in a
# process sets a flag that is global, and every later one returns at once, whatever instance it
# is made on. So of a program with two projects, or of one that gets a client of its own for
# each part, the second never sends anything. Nothing is said of it: submitTo returns
# undefined, and track returns as ever. Nor does it help to load the package a second time.
#
# track also takes $time and $userAgent out of the object of properties that it is given. The
# next event with the same object has no browser.
#
# Expected: each instance sends to the server that it was given; the caller's object stays as it was.
# Seen, of web.track(..., "FromWeb") and then shop.track(..., "FromShop"), and of two events with one object:
#   web got: FromWeb browser=chrome, FromWeb browser=none
#   shop got: nothing
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund sa-sdk-node@1.2.6
cat >main.js <<'EOF'
const http = require('node:http')
const SensorsAnalytics = require('sa-sdk-node')

const received = { web: [], shop: [] }
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  const messages = Buffer.from(new URLSearchParams(body).get('data_list'), 'base64').toString()
  for (const { event, properties } of [JSON.parse(messages)].flat()) {
    received[req.url.slice(1)].push(`${event} browser=${properties.$browser || 'none'}`)
  }
  res.end()
})
server.listen(0, '127.0.0.1', () => {
  const make = (project) => {
    const client = new SensorsAnalytics()
    client.submitTo({ url: `http://127.0.0.1:${server.address().port}/${project}`, gzip: false })
    return client
  }
  const [web, shop] = [make('web'), make('shop')]
  const request = { $userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36' }
  web.track('ada', 'FromWeb', request)
  web.track('ada', 'FromWeb', request)
  shop.track('bob', 'FromShop', {})
  const deadline = Date.now() + 20000
  const timer = setInterval(() => {
    if (received.web.length < 2 && Date.now() < deadline) return
    clearInterval(timer)
    setTimeout(() => { // time for what else may come
      for (const [project, events] of Object.entries(received)) console.log(`${project} got: ${events.join(', ') || 'nothing'}`)
      process.exit(0)
    }, 2000)
  }, 50)
})
EOF
timeout 60 node --no-deprecation main.js | tee seen
diff - seen <<'EOF'
web got: FromWeb browser=chrome, FromWeb browser=none
shop got: nothing
EOF
