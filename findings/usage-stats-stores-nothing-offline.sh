#!/usr/bin/env bash
# usage-stats 0.9.5 (Node), which calls itself an offline-friendly client: by its README, send stores
# the hits if it is offline, to try them again when the program is next run, and the option dir is
# where the queue is. There is code for such a queue, but nothing calls it. So what a command line
# tool counted without a network is gone when the tool ends; no file is ever written but that of
# the visitor's id. Nor are the parameters that end takes for the session's last hit ever in it.
#
# Expected: the next run sends what the first could not.
# Seen, of a run whose server answers 503, or is not there, and of one after it:
#   503: send is rejected, in dir: cid, queueLength 0
#   nobody listens: send is rejected, in dir: cid, queueLength 0
#   the next run sends: 1 hit, that of its own
#   end(cd1=gold): the last hit has sc=end, and cd1=none
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund usage-stats@0.9.5
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const UsageStats = require('usage-stats')

let status = 503
let hits
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  hits = body.split('\n').map((line) => new URLSearchParams(line))
  res.writeHead(status, { Connection: 'close' }).end()
})
server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}/batch`
  const run = async (url, action, what) => {
    const stats = new UsageStats('UA-1-1', { an: 'shop', dir: 'stats', url })
    stats.start()
    stats.event('mug', action)
    stats.end(new Map([['cd1', 'gold']]))
    const how = await stats.send().then(() => 'fulfilled', () => 'rejected')
    if (what) console.log(`${what}: send is ${how}, in dir: ${fs.readdirSync('stats').join(' ')}, queueLength ${stats.queueLength}`)
  }
  await run(url, 'viewed', '503')
  await run('http://127.0.0.1:1/batch', 'put in the basket', 'nobody listens')
  status = 200
  await run(url, 'bought')
  console.log(`the next run sends: ${hits.length} hit, that of ${hits[0].get('ea') === 'bought' ? 'its own' : 'another'}`)
  console.log(`end(cd1=gold): the last hit has sc=${hits[0].get('sc')}, and cd1=${hits[0].get('cd1') ?? 'none'}`)
  server.close()
})
EOF
timeout 60 node main.js 2>errors | tee seen || { cat errors; exit 1; }
diff - seen <<'EOF'
503: send is rejected, in dir: cid, queueLength 0
nobody listens: send is rejected, in dir: cid, queueLength 0
the next run sends: 1 hit, that of its own
end(cd1=gold): the last hit has sc=end, and cd1=none
EOF
