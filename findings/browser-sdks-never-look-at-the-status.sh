#!/usr/bin/env bash
# @customerio/cdp-analytics-browser 0.5.11 and @ht-sdks/events-sdk-js-browser 1.5.1: an
# event that is answered with 503 counts as delivered. It is not sent again, nor kept
# for the next page, and the promise of track says nothing of it. A cut connection is
# another thing: that is tried again. Segment's SDK, of which both are made, does look.
#
# Seen:
#   customerio 0.5.11: 503, the promise is fulfilled, 1 request in 15 seconds
#   hightouch 1.5.1: 503, the promise is fulfilled, 1 request in 15 seconds
#   segment 1.84.3: 503, the promise is fulfilled, more requests
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund \
	@customerio/cdp-analytics-browser@0.5.11 @ht-sdks/events-sdk-js-browser@1.5.1 @segment/analytics-next@1.84.3
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const settings = (name) => `cdnSettings: {integrations: {"${name}": {apiKey: "key", apiHost: location.host + "/v1", protocol: "http"}}}`
const sdks = {
  customerio: ['@customerio/cdp-analytics-browser', `AnalyticsNext.AnalyticsBrowser.load({writeKey: "key", ${settings('Customer.io Data Pipelines')}})`],
  hightouch: ['@ht-sdks/events-sdk-js-browser', 'HtEvents.HtEventsBrowser.load({writeKey: "key"}, {apiHost: location.host, protocol: "http"})'],
  segment: ['@segment/analytics-next', `AnalyticsNext.AnalyticsBrowser.load({writeKey: "key", ${settings('Segment.io')}})`]
}

async function run (name) {
  const [pkg, load] = sdks[name]
  let requests = 0
  let fulfilled
  const told = new Promise((resolve) => { fulfilled = resolve })
  const server = http.createServer(async (req, res) => {
    for await (const _ of req);
    if (req.url === '/') {
      return res.setHeader('Content-Type', 'text/html').end(`<!DOCTYPE html><script src="/sdk.js"></script><script>
        const analytics = ${load}
        analytics.track("A").then(() => fetch("/fulfilled"), () => fetch("/rejected"))</script>`)
    }
    if (req.url === '/sdk.js') return res.end(fs.readFileSync(`node_modules/${pkg}/dist/umd/index.js`))
    if (req.url.endsWith('ed')) fulfilled(req.url.slice(1))
    if (req.url.startsWith('/v1/t')) requests++
    res.writeHead(req.url.startsWith('/v1/t') ? 503 : 200).end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    `--user-data-dir=${process.cwd()}/${name}`, '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  const how = await told
  await new Promise((resolve) => setTimeout(resolve, 15000))
  console.log(`${name} ${require(`./node_modules/${pkg}/package.json`).version}: 503, the promise is ${how}, ` +
    (requests === 1 ? '1 request in 15 seconds' : 'more requests'))
  const gone = new Promise((resolve) => browser.on('exit', resolve))
  browser.kill()
  await gone
  server.close()
}

run('customerio').then(() => run('hightouch')).then(() => run('segment')).then(() => process.exit(0))
EOF
timeout 300 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
customerio 0.5.11: 503, the promise is fulfilled, 1 request in 15 seconds
hightouch 1.5.1: 503, the promise is fulfilled, 1 request in 15 seconds
segment 1.84.3: 503, the promise is fulfilled, more requests
EOF
