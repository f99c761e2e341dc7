#!/usr/bin/env bash
# @gojek/clickstream-web 1.0.3: events wait in IndexedDB, in a database of the site, until the server
# has answered the batch that they are in. Each tab sends what is in there, from whichever tab it
# came, and does not know what another tab has under way. So with two tabs open every event is
# sent twice, in two requests with two ids (reqGuid), each with the headers of the tab that sends
# it. Nor does a single tab get it right. It remembers the last batch only. What a slow server has
# not answered when the next batch is sent goes into the batch after that, and into every other
# one from then on: the slower the server, the more it gets. By the README, an event is sent at
# least once; but here nothing has failed that would call for a second time.
#
# Expected: each event is sent once, if each request is answered with 200.
# Seen, of 3 events in each tab at once, then, in the last case, of one each second:
#   1 tab: a1 1 time, a2 1 time, a3 1 time
#   2 tabs: a1 2 times, a2 2 times, a3 2 times, b1 2 times, b2 2 times, b3 2 times
#   1 tab, answered after 10 seconds, a batch every 2: a1 more than 2 times
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @gojek/clickstream-web@1.0.3 protobufjs@7.4.0 esbuild@0.25.0
cat >page.js <<'EOF'
import { Clickstream } from '@gojek/clickstream-web'

// As protobufjs makes one of a schema, but for its form.
class Bought {
  constructor (id) { this.id = id }
  static encode ({ id }) { return { finish: () => new TextEncoder().encode(`<${id}>`) } }
  static getTypeUrl (prefix) { return `${prefix}/shop.Bought` }
}

const [tab, every] = location.search.slice(1).split(',')
const clickstream = new Clickstream({
  network: { url: `${location.origin}/events`, headers: new Headers({ Authorization: 'Basic a2V5' }) },
  batch: { maxTimeBetweenTwoBatches: every ? 2 : 3 }
})
let id = 0
const track = () => clickstream.track(new Bought(`${tab}${++id}`))
track().then(track).then(track)
if (every) setInterval(track, Number(every))
EOF
node_modules/.bin/esbuild page.js --bundle --outfile=bundle.js --log-level=error
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const field = (number, bytes) => Buffer.concat([Buffer.from([number << 3 | 2, bytes.length]), bytes])

async function run (what, tabs, delay) {
  const sent = {}
  const server = http.createServer(async (req, res) => {
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    if (req.url === '/') res.setHeader('Content-Type', 'text/html').write(tabs.map((tab) => `<iframe src="/tab?${tab}"></iframe>`).join(''))
    if (req.url.startsWith('/tab')) res.setHeader('Content-Type', 'text/html').write('<!DOCTYPE html><script src="/bundle.js"></script>')
    if (req.url === '/bundle.js') res.write(fs.readFileSync('bundle.js'))
    if (req.url === '/events') {
      for (const [, id] of body.toString('latin1').matchAll(/<(\w+)>/g)) sent[id] = (sent[id] ?? 0) + 1
      await pause(delay)
      const id = body.subarray(2, 2 + body[1]) // the answer has the id of the request
      res.write(field(5, Buffer.concat([field(1, Buffer.from('req_guid')), field(2, id)])))
    }
    res.end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    `--user-data-dir=${fs.mkdtempSync(`${process.cwd()}/profile-`)}`, '--remote-debugging-port=0',
    `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  await pause(20000)
  const times = (n) => n === 1 ? '1 time' : delay && n > 2 ? 'more than 2 times' : `${n} times`
  const ids = delay ? ['a1'] : Object.keys(sent).sort()
  console.log(`${what}: ${ids.map((id) => `${id} ${times(sent[id])}`).join(', ')}`)
  const gone = new Promise((resolve) => browser.on('exit', resolve))
  browser.kill()
  await gone
  server.close()
  server.closeAllConnections()
}

run('1 tab', ['a'], 0)
  .then(() => run('2 tabs', ['a', 'b'], 0))
  .then(() => run('1 tab, answered after 10 seconds, a batch every 2', ['a,1000'], 10000))
  .then(() => process.exit())
EOF
timeout 150 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
1 tab: a1 1 time, a2 1 time, a3 1 time
2 tabs: a1 2 times, a2 2 times, a3 2 times, b1 2 times, b2 2 times, b3 2 times
1 tab, answered after 10 seconds, a batch every 2: a1 more than 2 times
EOF
