#!/usr/bin/env bash
# influxdb-v1 1.0.4 (Node): its command, influxdb-v1 insert, writes one point to InfluxDB, with the
# fields, the tags and, by the README, the time (--ts) that it is given. A field of false is written
# as true, since the text is made a boolean as any other that is not empty. --ts is read nowhere, so
# that a point from last year gets the time at which the server receives it. And a tag or a field is
# split at every equals sign: what comes after a second one, as in an address, is gone. The command
# ends with 0 each time. The function write, which the command uses, has all of it right.
#
# Expected: the command writes what write does.
# Seen, of the same point:
#   write: web,page=/buy?plan\=gold paid=false 1767323045678000000
#   insert: web,page=/buy?plan paid=true
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund influxdb-v1@1.0.4
cat >main.js <<'EOF'
const http = require('node:http')
const { spawn } = require('node:child_process')
const influx = require('influxdb-v1')

let received
const server = http.createServer(async (req, res) => {
  received = ''
  for await (const chunk of req) received += chunk
  res.writeHead(204).end()
})
server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`
  const time = '1767323045678000000'
  await influx.write({ url, db: 'shop' }, { measurement: 'web', tags: { page: '/buy?plan=gold' }, fields: { paid: false }, timestamp: time })
  console.log(`write: ${received}`)
  const command = spawn('node_modules/.bin/influxdb-v1', ['insert', '--url', url, '--db', 'shop', '--measurement', 'web',
    '--tags', 'page=/buy?plan=gold', '--fields', 'paid=false', '--ts', time], { stdio: 'inherit' })
  command.on('exit', (status) => {
    console.log(status === 0 ? `insert: ${received}` : `insert: exit ${status}`)
    server.close()
    server.closeAllConnections()
  })
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
write: web,page=/buy?plan\=gold paid=false 1767323045678000000
insert: web,page=/buy?plan paid=true
EOF
