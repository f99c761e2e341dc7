#!/usr/bin/env bash
# redux-beacon 2.1.0, @redux-beacon/offline-web 1.0.0 and @redux-beacon/segment 1.1.0, with
# @segment/analytics-next 1.84.3: what happens offline is saved, and goes to Segment at the
# first action that finds a connection, but after the events of that action. If Ada leaves
# while the machine is offline, and Bob logs in when it is online again, Segment's SDK is told
# of Bob first and of Ada then. What Bob does from then on is Ada's, or nobody's, if
# Ada's logout is among the events and was saved with them. It is right only where an action
# that has no event comes first, such as one that says that there is a connection.
#
# Expected: Segment is told of the actions in their order.
# Seen, of login ada, search, logout, all offline, then login bob, and buy, online, with
# isConnected: () => navigator.onLine:
#   logout is no event: Searched by ada, Bought by ada
#   logout is reset: Searched by ada, Bought by nobody
#   the same, all online: Searched by ada, Bought by bob
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund redux@5.0.1 redux-beacon@2.1.0 @redux-beacon/offline-web@1.0.0 \
  @redux-beacon/segment@1.1.0 @segment/analytics-next@1.84.3 esbuild@0.28.1
cat >page.js <<'EOF'
import { applyMiddleware, legacy_createStore as createStore } from 'redux'
import { createMiddleware } from 'redux-beacon'
import offlineWeb from '@redux-beacon/offline-web'
import segment, { identifyUser, reset, trackEvent } from '@redux-beacon/segment'
import { AnalyticsBrowser } from '@segment/analytics-next'

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

async function main () {
  const name = new URLSearchParams(location.search).get('run')
  window.analytics = AnalyticsBrowser.load({
    writeKey: 'key',
    cdnSettings: { integrations: { 'Segment.io': { apiKey: 'key', apiHost: location.host + '/v1', protocol: 'http' } } }
  })
  await window.analytics.ready()
  await window.analytics.reset()
  const events = {
    LOGIN: identifyUser((action) => ({ userId: action.id })),
    SEARCH: trackEvent(() => ({ name: 'Searched' })),
    BUY: trackEvent(() => ({ name: 'Bought' }))
  }
  if (name !== 'logout is no event') events.LOGOUT = reset()
  let online = name === 'the same, all online'
  Object.defineProperty(navigator, 'onLine', { get: () => online })
  const offlineStorage = offlineWeb(() => navigator.onLine)
  const store = createStore(() => ({}), applyMiddleware(createMiddleware(events, segment(), { offlineStorage })))
  for (const action of [
    { type: 'LOGIN', id: 'ada' }, { type: 'SEARCH' }, { type: 'LOGOUT' }, { type: 'LOGIN', id: 'bob' }, { type: 'BUY' }
  ]) {
    if (action.id === 'bob') online = true
    store.dispatch(action)
    await wait(1)
  }
  await fetch('/end', { method: 'POST', body: name })
}
main()
EOF
node_modules/.bin/esbuild page.js --bundle --log-level=error --outfile=bundle.js
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const runs = ['logout is no event', 'logout is reset', 'the same, all online']
let browser
let tracked = []
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  const { pathname } = new URL(req.url, 'http://shop.example')
  if (pathname === '/') {
    return res.setHeader('Content-Type', 'text/html').end('<!DOCTYPE html><script src="/bundle.js"></script>')
  }
  if (pathname === '/bundle.js') return res.end(fs.readFileSync('bundle.js'))
  if (pathname === '/v1/t') {
    const { event, userId } = JSON.parse(body)
    tracked.push(`${event} by ${userId ?? 'nobody'}`)
  }
  res.end('{"success":true}')
  if (pathname === '/end') {
    console.log(`${body}: ${tracked.join(', ')}`)
    browser.kill()
  }
})

function run () {
  const name = runs.shift()
  if (!name) process.exit(0)
  tracked = []
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run',
    '--disable-background-networking', `--user-data-dir=${process.cwd()}/profile-${runs.length}`, '--remote-debugging-port=0',
    `http://127.0.0.1:${server.address().port}/?run=${encodeURIComponent(name)}`], { stdio: 'ignore' })
  browser.on('exit', run)
}
server.listen(0, '127.0.0.1', run)
EOF
timeout 150 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
logout is no event: Searched by ada, Bought by ada
logout is reset: Searched by ada, Bought by nobody
the same, all online: Searched by ada, Bought by bob
EOF
