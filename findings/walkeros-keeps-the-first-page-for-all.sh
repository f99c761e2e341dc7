#!/usr/bin/env bash
# @walkeros/web-source-browser 4.2.1 with @walkeros/collector 4.2.1: elb("page view", data) adds
# the path of the page as the id, unless data has one. It adds it to the object that it was
# given. An application of one page that keeps what all its pages have in common in an object,
# and passes that with each view, reports its first page for ever: from the second view on,
# the object has an id. The url in the event's source is that of the page.
#
# Expected: the id is the path of the page that is viewed; the caller's object stays as it was.
# Seen, of elb("page view", common) on each page, with common = {title: "Shop"}:
#   /mugs: id=/mugs url=/mugs
#   /cart: id=/mugs url=/cart
#   common: {"title":"Shop","id":"/mugs"}
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @walkeros/collector@4.2.1 @walkeros/web-source-browser@4.2.1 esbuild@0.28.1
cat >page.js <<'EOF'
import { startFlow } from '@walkeros/collector'
import { sourceBrowser } from '@walkeros/web-source-browser'

async function main () {
  const views = []
  await startFlow({
    run: true,
    sources: { browser: { code: sourceBrowser, config: { settings: { pageview: false, elb: 'elb' } } } },
    destinations: { keep: { code: { type: 'keep', config: {}, push (event) { views.push(event) } } } }
  })
  const common = { title: 'Shop' }
  const lines = []
  for (const path of ['/mugs', '/cart']) {
    history.pushState({}, '', path)
    await window.elb('page view', common)
    const { data, source } = views.pop()
    lines.push(`${path}: id=${data.id} url=${new URL(source.url).pathname}`)
  }
  lines.push('common: ' + JSON.stringify(common))
  await fetch('/say', { method: 'POST', body: lines.join('\n') })
}
main()
EOF
node_modules/.bin/esbuild page.js --bundle --log-level=error --outfile=bundle.js
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

let browser
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (req.url === '/') {
    return res.setHeader('Content-Type', 'text/html').end('<!DOCTYPE html><body><script src="/bundle.js"></script>')
  }
  if (req.url === '/bundle.js') return res.end(fs.readFileSync('bundle.js'))
  res.end()
  if (req.url === '/say') {
    console.log(body)
    browser.kill()
  }
}).listen(0, '127.0.0.1', () => {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--user-data-dir=' + process.cwd() + '/profile', '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  browser.on('exit', () => process.exit(0))
})
EOF
timeout 60 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
/mugs: id=/mugs url=/mugs
/cart: id=/mugs url=/cart
common: {"title":"Shop","id":"/mugs"}
EOF
