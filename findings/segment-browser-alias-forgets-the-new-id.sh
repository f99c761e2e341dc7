#!/usr/bin/env bash
# @segment/analytics-next 1.84.3: once a visitor is identified, alias('new', 'old') is
# sent with the current user as userId and 'old' as previousId. 'new' is nowhere in it,
# so that old is joined with whoever is logged in. Before identify it is right, and in
# Customer.io's and Hightouch's SDKs, which are made of this one, always.
#
# Seen:
#   before identify: alias("new", "old") userId=new previousId=old
#   after identify:  alias("new", "old") userId=ada previousId=old
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @segment/analytics-next@1.84.3
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const page = `<!DOCTYPE html><script src="/sdk.js"></script><script>
const analytics = AnalyticsNext.AnalyticsBrowser.load({writeKey: "key", cdnSettings: {integrations: {
  "Segment.io": {apiKey: "key", apiHost: location.host + "/v1", protocol: "http"}}}})
analytics.alias("new", "old").then(() => analytics.identify("ada")).then(() => analytics.alias("new", "old"))
</script>`

let aliases = 0
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (req.url === '/') return res.setHeader('Content-Type', 'text/html').end(page)
  if (req.url === '/sdk.js') return res.end(fs.readFileSync('node_modules/@segment/analytics-next/dist/umd/index.js'))
  res.end('{"success":true}')
  if (req.url !== '/v1/a') return
  const message = JSON.parse(body)
  console.log((aliases++ ? 'after identify: ' : 'before identify:') +
    ` alias("new", "old") userId=${message.userId} previousId=${message.previousId}`)
  if (aliases === 2) browser.kill()
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
before identify: alias("new", "old") userId=new previousId=old
after identify:  alias("new", "old") userId=ada previousId=old
EOF
