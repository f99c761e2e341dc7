#!/usr/bin/env bash
# winston-transport-http-stream 0.1.4 with winston 3.17.0 (Node): the option url is taken apart, and of what
# comes after the host only the path is kept. So the key or the source that a collector wants in the
# query, as in /log?key=abc, is never sent, nor are the user and the password before the host. And no
# answer is read. Node.js keeps a connection busy until its answer is, so that each record opens a
# new one, which stays open as long as the server lets it: a program that has logged a thousand
# records has a thousand connections, to a server that answered each of them at once.
#
# Expected: the query is sent; one record after the other needs one connection.
# Seen, of 50 records, one after the other, with the url http://ada:secret@127.0.0.1/log?key=abc:
#   winston-transport-http-stream: 50 requests for /log, without Authorization, 50 connections open
#   Http of winston itself, path /log?key=abc: 50 requests for /log?key=abc, with Authorization, 1 connection open
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund winston-transport-http-stream@0.1.4 winston@3.17.0
cat >main.js <<'EOF'
const http = require('node:http')
const winston = require('winston')
const HttpStream = require('winston-transport-http-stream')

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function run (what, open) {
  const requests = []
  const server = http.createServer(async (req, res) => {
    for await (const _ of req);
    requests.push([req.url, req.headers.authorization ? 'with' : 'without'])
    res.end('ok')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const logger = winston.createLogger({ transports: [open(server.address().port)] })
  for (let i = 0; i < 50; i++) {
    logger.info('Bought')
    await pause(20)
  }
  await pause(500)
  const count = await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))
  const [url, authorization] = requests[0]
  console.log(`${what}: ${requests.length} requests for ${url}, ${authorization} Authorization, ${count} connection${count === 1 ? '' : 's'} open`)
  server.closeAllConnections()
  server.close()
}

run('winston-transport-http-stream', (port) => new HttpStream({ url: `http://ada:secret@127.0.0.1:${port}/log?key=abc` }))
  .then(() => run('Http of winston itself, path /log?key=abc', (port) => new winston.transports.Http({
    host: '127.0.0.1', port, path: '/log?key=abc', auth: { username: 'ada', password: 'secret' }, agent: new http.Agent({ keepAlive: true })
  })))
  .then(() => process.exit())
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
winston-transport-http-stream: 50 requests for /log, without Authorization, 50 connections open
Http of winston itself, path /log?key=abc: 50 requests for /log?key=abc, with Authorization, 1 connection open
EOF
