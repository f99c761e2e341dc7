#!/usr/bin/env bash
# node-api-analytics 1.3.0 with express 4.21.2: the middleware calls next and then logs the status
# and the time. But next returns at the first thing that a handler waits for, such as its
# database. So an answer that is not given at once is logged as 200 in 0 ms, be it 404 or 500;
# the middleware for Fastify and that for Koa wait for the answer. And the log is sent with the
# first request after a minute, but is emptied only once the server has answered. Each request
# until then sends all of it again.
#
# Expected: the log has the status of the answer, and each request once.
# Seen, of one request to each path, and of two more before the server has answered:
#   GET /at-once/404: logged 404, 1 time
#   GET /later/404: logged 200, 1 time
#   GET /later/500: logged 200, 1 time
#   while the server answers: the log was sent 3 times, and /later/500 with it 3 times
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund node-api-analytics@1.3.0 express@4.21.2
cat >main.mjs <<'EOF'
import { once } from 'node:events'
import http from 'node:http'
import { mock } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { Config, expressAnalytics } from 'node-api-analytics'

const logs = []
const collector = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  logs.push(JSON.parse(body).requests)
  await sleep(2000)
  res.end('{}')
}).listen(0, '127.0.0.1')
await once(collector, 'listening')

const app = express()
const config = new Config()
config.serverUrl = `http://127.0.0.1:${collector.address().port}`
app.use(expressAnalytics('key', config))
app.get('/at-once/:status', (req, res) => res.sendStatus(Number(req.params.status)))
app.get('/later/:status', (req, res) => setTimeout(() => res.sendStatus(Number(req.params.status)), 100))
const shop = app.listen(0, '127.0.0.1')
await once(shop, 'listening')

const get = (path) => fetch(`http://127.0.0.1:${shop.address().port}${path}`)
const paths = ['/at-once/404', '/later/404', '/later/500']
for (const path of paths) await get(path)
mock.timers.enable({ apis: ['Date'], now: Date.now() + 61000 }) // a minute later
for (let i = 0; i < 3; i++) await get('/at-once/200')
await sleep(500)

for (const path of paths) {
  const [{ status }, ...more] = logs[0].filter((request) => request.path === path)
  console.log(`GET ${path}: logged ${status}, ${1 + more.length} time`)
}
const again = logs.flat().filter((request) => request.path === '/later/500').length
console.log(`while the server answers: the log was sent ${logs.length} times, and /later/500 with it ${again} times`)
process.exit(0)
EOF
timeout 60 node --no-warnings main.mjs | tee seen
diff - seen <<'EOF'
GET /at-once/404: logged 404, 1 time
GET /later/404: logged 200, 1 time
GET /later/500: logged 200, 1 time
while the server answers: the log was sent 3 times, and /later/500 with it 3 times
EOF
