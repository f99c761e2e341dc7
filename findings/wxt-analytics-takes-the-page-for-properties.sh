#!/usr/bin/env bash
# @wxt-dev/analytics 0.5.4, in a browser extension: a page hands each call to the background, and puts
# what it knows of itself (session, address, title) behind the arguments. A call that has fewer than
# it may have, as all in the README do, has that in the place of the one left out. With
# track("opened") it becomes the properties, while the event itself has no session and the address
# of the background's script. With page() it becomes the path, and every view is one of that
# script. With identify("ada") it becomes properties of the person: all events to come have the
# address of the page, and the session of the day, of the login. By the README the user's id is
# stored. Until identify is called it is random, and it is not stored, so that each start of the
# background, which the browser stops whenever it is idle, makes another user.
#
# Expected: an event is of its page and session, whatever is left out; a browser has one user.
# Seen, of calls in popup.html, and of two starts of the browser with one profile:
#   track("opened", {}): of popup.html, with a session, properties: none
#   track("opened"): of background.js, without a session, properties: language screen sessionId timestamp title url
#   page(): of background.js, without a session, its path is an object
#   started again: another user
#   identify("ada"), started again, track("opened", {}): the user ada has the url of popup.html
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund --legacy-peer-deps @wxt-dev/analytics@0.5.4 \
	@wxt-dev/browser@0.3.6 @wxt-dev/is-background@1.0.1 ua-parser-js@1.0.40 esbuild@0.25.0
mkdir extension
cat >extension/manifest.json <<'EOF'
{
  "manifest_version": 3,
  "name": "Shop",
  "version": "1.0",
  "permissions": ["storage"],
  "host_permissions": ["http://127.0.0.1/*"],
  "background": { "service_worker": "background.js" }
}
EOF
echo '<!DOCTYPE html><title>Shop</title><script src="popup.js"></script>' >extension/popup.html
cat >background.js <<'EOF'
import { createAnalytics } from '@wxt-dev/analytics'

const tell = (event) => fetch(SERVER, { method: 'POST', body: JSON.stringify(event) })
createAnalytics({
  providers: [() => ({ identify: tell, page: tell, track: tell })],
  enabled: { getValue: () => true }
})
chrome.tabs.create({ url: 'popup.html' })
EOF
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { execFileSync, spawn } = require('node:child_process')

let received
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  received(JSON.parse(body))
  res.end()
})

function build (script, source) {
  fs.writeFileSync(`in-${script}`, source)
  const url = JSON.stringify(`http://127.0.0.1:${server.address().port}/`)
  execFileSync('node_modules/.bin/esbuild', [`in-${script}`, '--bundle', `--outfile=extension/${script}`, '--log-level=error',
    '--define:import.meta.env={}', `--define:SERVER=${url}`])
}

async function run (call) {
  build('popup.js', `import { createAnalytics } from '@wxt-dev/analytics'
    const analytics = createAnalytics({ providers: [] })
    ${call}`)
  const told = new Promise((resolve) => { received = resolve })
  const browser = spawn(process.argv[2], ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    `--load-extension=${process.cwd()}/extension`, `--user-data-dir=${process.cwd()}/profile`, '--remote-debugging-port=0', 'about:blank'], { stdio: 'ignore' })
  const event = await told
  await new Promise((resolve) => setTimeout(resolve, 2000)) // so that all is stored
  const gone = new Promise((resolve) => browser.on('exit', resolve))
  browser.kill()
  await gone
  return event
}

const of = ({ meta }) => `of ${meta.url.split('/').pop()}, ${meta.sessionId ? 'with' : 'without'} a session`
const properties = ({ event }) => Object.keys(event.properties).sort().join(' ') || 'none'

server.listen(0, '127.0.0.1', async () => {
  build('background.js', fs.readFileSync('background.js', 'utf8'))
  const first = await run('analytics.track("opened", {})')
  console.log(`track("opened", {}): ${of(first)}, properties: ${properties(first)}`)
  const second = await run('analytics.track("opened")')
  console.log(`track("opened"): ${of(second)}, properties: ${properties(second)}`)
  const third = await run('analytics.page()')
  console.log(`page(): ${of(third)}, its path is ${typeof third.page.location === 'object' ? 'an object' : third.page.location}`)
  console.log(`started again: ${first.user.id === second.user.id ? 'the same' : 'another'} user`)
  await run('analytics.identify("ada")')
  const { user } = await run('analytics.track("opened", {})')
  console.log(`identify("ada"), started again, track("opened", {}): the user ${user.id} has the url of ${user.properties.url?.split('/').pop()}`)
  process.exit()
})
EOF
timeout 100 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
track("opened", {}): of popup.html, with a session, properties: none
track("opened"): of background.js, without a session, properties: language screen sessionId timestamp title url
page(): of background.js, without a session, its path is an object
started again: another user
identify("ada"), started again, track("opened", {}): the user ada has the url of popup.html
EOF
