#!/usr/bin/env bash
# @counterscale/tracker 3.4.1: a page that has a link rel="canonical", as pages do for search
# engines, is counted by the address in it. That is meant for the path. But the campaign
# (utm_source, utm_medium and so on) is read from the same address, and the point of that one
# is to have none. So on a site with such links no campaign is ever counted, though the
# referrer, where the document has none, is read from the real address. And where a page is
# changed by history.pushState, the address is read before that returns, when the link is
# still that of the page before.
#
# Expected: the campaign is that of the address that was opened; the view is of the page shown.
# Seen, of a page opened with ?utm_source=mail&utm_campaign=spring, then pushState to /cart:
#   no canonical link: /shop, utm_source=mail, utm_campaign=spring; then /cart
#   a canonical link: /shop, utm_source=none, utm_campaign=none; then /shop
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @counterscale/tracker@3.4.1
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const page = (canonical) => `<!DOCTYPE html>${canonical ? '<link rel="canonical" href="/shop">' : ''}
<script type="module">
import * as Counterscale from '/counterscale.js'
const wait = () => new Promise((resolve) => setTimeout(resolve, 2000)) // until all is sent
Counterscale.init({ siteId: 'shop', reporterUrl: location.origin + '/collect', reportOnLocalhost: true })
await wait()
history.pushState({}, '', '/cart')
const link = document.querySelector('link')
if (link) link.href = '/cart'
await wait()
await fetch('/end')
</script>`

let views = []
let browser
let canonical = false
const campaign = '?utm_source=mail&utm_campaign=spring'
const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost')
  const value = (name) => url.searchParams.get(name) || 'none'
  if (url.pathname === '/shop') return res.setHeader('Content-Type', 'text/html').end(page(canonical))
  if (url.pathname === '/counterscale.js') {
    res.setHeader('Content-Type', 'text/javascript')
    return res.end(fs.readFileSync('node_modules/@counterscale/tracker/dist/module/index.js'))
  }
  if (url.pathname === '/collect') views.push({ path: value('p'), source: value('us'), name: value('uc') })
  if (url.pathname === '/end') {
    const [first, second] = views
    views = []
    console.log(`${canonical ? 'a' : 'no'} canonical link: ${first.path}, utm_source=${first.source}, utm_campaign=${first.name}; then ${second.path}`)
    browser.kill()
  }
  res.end('{"ht": 1}')
}).listen(0, '127.0.0.1', () => open())

function open () {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--user-data-dir=' + process.cwd() + '/profile', `http://127.0.0.1:${server.address().port}/shop${campaign}`], { stdio: 'ignore' })
  browser.on('exit', () => {
    if (canonical) process.exit(0)
    canonical = true
    open()
  })
}
EOF
timeout 100 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
no canonical link: /shop, utm_source=mail, utm_campaign=spring; then /cart
a canonical link: /shop, utm_source=none, utm_campaign=none; then /shop
EOF
