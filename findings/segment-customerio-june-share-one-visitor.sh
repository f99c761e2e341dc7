#!/usr/bin/env bash
# @segment/analytics-next 1.84.3, @customerio/cdp-analytics-browser 0.5.11 and
# @june-so/analytics-next 2.0.0 on one page: the latter two are made of the first, and
# keep the visitor under its names (ajs_user_id, ajs_anonymous_id, ajs_user_traits).
# Each has another write key and another host, and yet an identify of one changes who
# the others' events are of, on every page from then on, though they were never told.
# Where the products know a person by different ids, their events go to the wrong one.
#
# Expected: an SDK sends the userId that it was given itself.
# Seen:
#   Segment: identify("ada")
#   Segment: track userId=ada
#   June: track userId=ada
#   Customer.io: identify("customer-17")
#   Segment: track userId=customer-17
#   June: track userId=customer-17
#   the next page, Segment: track userId=customer-17
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund \
	@segment/analytics-next@1.84.3 @customerio/cdp-analytics-browser@0.5.11 @june-so/analytics-next@2.0.0
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const sdks = {
  segment: ['Segment', '@segment/analytics-next', 'Segment.io'],
  customerio: ['Customer.io', '@customerio/cdp-analytics-browser', 'Customer.io Data Pipelines'],
  june: ['June', '@june-so/analytics-next', 'june.so']
}
const load = Object.keys(sdks).map((name) => `<script src="/${name}.js"></script><script>
  const ${name} = AnalyticsNext.AnalyticsBrowser.load({writeKey: "${name}", cdnSettings: {integrations: {
    "${sdks[name][2]}": {apiKey: "${name}", apiHost: location.host + "/${name}", protocol: "http"}}}})</script>`).join('')
const pages = {
  '/': `${load}<script>(async () => {
    await Promise.all([segment, customerio, june])
    await segment.identify("ada"); await segment.track("A"); await june.track("A")
    await customerio.identify("customer-17"); await segment.track("B"); await june.track("B")
    setTimeout(() => { location = "/next" }, 1000) })()</script>`,
  '/next': `${load}<script>segment.track("C").then(() => fetch("/end"))</script>`
}

let next = ''
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (pages[req.url]) {
    if (req.url === '/next') next = 'the next page, '
    return res.setHeader('Content-Type', 'text/html').end('<!DOCTYPE html>' + pages[req.url])
  }
  const [, name, path] = req.url.split(/[/.]/)
  if (path === 'js') return res.end(fs.readFileSync(`node_modules/${sdks[name][1]}/dist/umd/index.js`))
  res.end('{"success":true}')
  if (name === 'end') return browser.kill()
  if (!sdks[name] || !body) return
  const message = JSON.parse(body)
  if (message.type === 'identify') console.log(`${sdks[name][0]}: identify("${message.userId}")`)
  if (message.type === 'track') console.log(`${next}${sdks[name][0]}: track userId=${message.userId}`)
})
let browser
server.listen(0, '127.0.0.1', () => {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--user-data-dir=' + process.cwd() + '/profile', '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  browser.on('exit', () => process.exit(0))
})
EOF
timeout 120 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
Segment: identify("ada")
Segment: track userId=ada
June: track userId=ada
Customer.io: identify("customer-17")
Segment: track userId=customer-17
June: track userId=customer-17
the next page, Segment: track userId=customer-17
EOF
