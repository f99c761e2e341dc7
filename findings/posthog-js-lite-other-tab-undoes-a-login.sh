#!/usr/bin/env bash
# posthog-js-lite 4.12.1: a page reads what it knows from localStorage once, for its first event,
# and writes all of it with every event, the visitor's id included. So a second tab, which
# was in use when the visitor logged in at the first, writes the id from before the login with
# its next event. The next page that is loaded, in whichever tab, begins with that one: what
# a customer does after the login is a stranger's, although nobody called reset. The events
# that wait to be sent are in the same place, and are overwritten as well.
#
# Expected: the login of one tab holds on the pages that are loaded after it.
# Seen, of an event in each of two tabs, then identify("ada") in the first:
#   the next page: "Bought" by ada
#   the next page, after another event in the second tab: "Bought" by somebody unknown
#
# The tabs are played by frames of one page. Needs Node.js 20, npm and Chromium. Exits with
# another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund posthog-js-lite@4.12.1 esbuild@0.28.1
cat >frame.js <<'EOF'
import PostHog from 'posthog-js-lite'
window.posthog = new PostHog('key', {
  host: location.origin, flushAt: 1, preloadFeatureFlags: false, disableCompression: true
})
EOF
node_modules/.bin/esbuild frame.js --bundle --log-level=error --outfile=bundle.js
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const page = `<!DOCTYPE html><script>
const wait = () => new Promise((resolve) => setTimeout(resolve, 2000)) // until all is sent and written
const open = async () => {
  const frame = document.createElement('iframe')
  frame.src = '/frame'
  document.body.append(frame)
  await new Promise((resolve) => { frame.onload = resolve })
  return frame.contentWindow.posthog
}
const run = async (name, event) => {
  localStorage.clear()
  const first = await open()
  const second = await open()
  first.capture('Viewed')
  second.capture('Viewed')
  await wait()
  first.identify('ada')
  await wait()
  if (event) second.capture('Viewed')
  await wait()
  const next = await open()
  next.capture('Bought')
  await wait()
  await fetch('/say', { method: 'POST', body: name })
}
onload = async () => {
  await run('the next page', false)
  await run('the next page, after another event in the second tab', true)
  await fetch('/end')
}
</script><body>`

let by
let browser
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (req.url === '/') return res.setHeader('Content-Type', 'text/html').end(page)
  if (req.url === '/frame') {
    return res.setHeader('Content-Type', 'text/html').end('<!DOCTYPE html><script src="/bundle.js"></script>')
  }
  if (req.url === '/bundle.js') return res.end(fs.readFileSync('bundle.js'))
  if (req.url.startsWith('/batch')) {
    for (const { event, distinct_id: id } of JSON.parse(body).batch) if (event === 'Bought') by = id
  }
  if (req.url === '/say') console.log(`${body}: "Bought" by ${by === 'ada' ? 'ada' : by ? 'somebody unknown' : 'none'}`)
  if (req.url === '/end') browser.kill()
  res.end('{}')
}).listen(0, '127.0.0.1', () => {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--user-data-dir=' + process.cwd() + '/profile', '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  browser.on('exit', () => process.exit(0))
})
EOF
timeout 100 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
the next page: "Bought" by ada
the next page, after another event in the second tab: "Bought" by somebody unknown
EOF
