#!/usr/bin/env bash
# Two packages that load Kissmetrics, on a page that has Kissmetrics' own snippet with
# the key "first" and whose queue has not been emptied yet:
#
# simple-node-kissmetrics 1.1.0, given the key "second", leaves _kmk as it is and loads
# the library of "second" beside that of the page. Its events go into the page's queue.
#
# analytics.js 2.9.1, with the integration KISSmetrics and the key "third", puts an empty
# queue in the place of _kmq at its first page(). Who the visitor is and what happened is
# gone, unless a library had taken it already. _kmk stays "first".
#
# Expected: each takes what waits in the queue with it; a key given is the key used.
# Seen, of the queue:
#   the page's snippet: _kmk=first, waiting: identify ada, record Signed Up
#   simple-node-kissmetrics: _kmk=first, waiting: identify ada, record Signed Up, record Viewed
#   analytics.js: _kmk=first, waiting: record Bought
#   asked for: /first.2.js /second.2.js /third.2.js
#
# The servers of Kissmetrics are played by this script, which answers with nothing, as
# if each library were still under way. Needs Node.js 20, npm and Chromium. Exits with
# another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund simple-node-kissmetrics@1.1.0 analytics.js@2.9.1
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const files = { '/simple.js': 'simple-node-kissmetrics/dist/library-dist.js', '/analytics.js': 'analytics.js/analytics.js' }
const page = `<!DOCTYPE html><script>
  var _kmq = _kmq || [], _kmk = _kmk || "first"
  _kmq.push(["identify", "ada"], ["record", "Signed Up"])
</script><script async src="//scripts.kissmetrics.com/first.2.js"></script>
<script src="/simple.js"></script><script src="/analytics.js"></script><script>
const say = (name) => fetch("/say", {method: "POST", body: name + ": _kmk=" + _kmk + ", waiting: " +
  _kmq.map((call) => call.slice(0, 2).join(" ")).join(", ")})
onload = async () => {
  await say("the page's snippet")
  kissmetrics.setKey("second")
  kissmetrics.trackEvent("Viewed")
  await say("simple-node-kissmetrics")
  analytics.initialize({KISSmetrics: {apiKey: "third"}})
  analytics.page()
  analytics.track("Bought")
  analytics.ready(async () => { await say("analytics.js"); fetch("/end") })
}
</script>`

const asked = new Set()
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (req.headers.host.endsWith('kissmetrics.com') && req.url.endsWith('.2.js')) asked.add(req.url)
  if (req.headers.host === 'shop.example' && req.url === '/') return res.setHeader('Content-Type', 'text/html').end(page)
  if (req.url === '/say') console.log(body)
  if (req.url === '/end') {
    console.log('asked for: ' + [...asked].sort().join(' '))
    browser.kill()
  }
  res.end(files[req.url] ? fs.readFileSync('node_modules/' + files[req.url]) : '')
})
let browser
server.listen(0, '127.0.0.1', () => {
  browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    `--host-resolver-rules=MAP * 127.0.0.1:${server.address().port}`, '--user-data-dir=' + process.cwd() + '/profile',
    '--remote-debugging-port=0', 'http://shop.example/'], { stdio: 'ignore' })
  browser.on('exit', () => process.exit(0))
})
EOF
timeout 120 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
the page's snippet: _kmk=first, waiting: identify ada, record Signed Up
simple-node-kissmetrics: _kmk=first, waiting: identify ada, record Signed Up, record Viewed
analytics.js: _kmk=first, waiting: record Bought
asked for: /first.2.js /second.2.js /third.2.js
EOF
