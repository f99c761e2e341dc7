#!/usr/bin/env bash
# countly-sdk-nodejs 24.10.4: two CountlyBulk in one process that keep their queues in files,
# each with its own app key and storage_path, share them, since the storage is the module's
# and not the object's. The one that runs first takes the events of both, under its own
# key. The other still holds the list that these were in, and sends them again. So
# everything arrives twice, as events of one app, and all files are in one of the folders.
#
# Expected: an event goes once, to the app that it was added to.
# Seen, of web.add_event(..., "from web") and shop.add_event(..., "from shop"):
#   app_key web: from shop, from shop, from web, from web
#   app_key shop: nothing
#   the queues are in shop/
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund countly-sdk-nodejs@24.10.4
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { Bulk } = require('countly-sdk-nodejs')

const received = { web: [], shop: [] }
let requests = 0
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  for (const request of JSON.parse(new URLSearchParams(body).get('requests'))) {
    received[request.app_key].push(...request.events.map((event) => event.key))
  }
  requests++
  res.end('{"result":"Success"}')
})
server.listen(0, '127.0.0.1', () => {
  const make = (key) => new Bulk({
    app_key: key, url: `http://127.0.0.1:${server.address().port}`, interval: 200, force_post: true,
    storage_type: Bulk.StorageTypes.FILE, storage_path: `${process.cwd()}/${key}/`
  })
  const [web, shop] = [make('web'), make('shop')]
  web.add_event('ada', { key: 'from web' })
  shop.add_event('bob', { key: 'from shop' })
  web.start()
  shop.start()
  const deadline = Date.now() + 20000
  const timer = setInterval(() => {
    if (requests < 2 && Date.now() < deadline) return
    clearInterval(timer)
    setTimeout(() => { // time for what else may come
      for (const key of ['web', 'shop']) console.log(`app_key ${key}: ${received[key].sort().join(', ') || 'nothing'}`)
      const folders = ['web', 'shop'].filter((key) => fs.readdirSync(key).length > 0)
      console.log('the queues are in ' + folders.map((key) => key + '/').join(' '))
      process.exit(0)
    }, 3000)
  }, 50)
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
app_key web: from shop, from shop, from web, from web
app_key shop: nothing
the queues are in shop/
EOF
