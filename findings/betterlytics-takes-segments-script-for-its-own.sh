#!/usr/bin/env bash
# @betterlytics/tracker 0.2.3 on a page with @segment/snippet 5.2.1: init does nothing if its script is
# in the page already, which it tells by a script with "analytics.js" anywhere in its address. That
# of Segment's snippet, .../analytics.js/v1/<key>/analytics.min.js, is one, and so are others. So
# where Segment's comes first, Betterlytics is never loaded. An event that comes before its script
# is kept for it, unless the same test says that the script is there; so here it is dropped. Nothing
# is said of it, unless the option debug is on: then init warns that it is initialized already.
#
# replaySample, the per cent of the sessions to record, from 0 to 100, is 5 if it is 0.
#
# Expected: Betterlytics is loaded, whatever else is on the page; 0 is 0.
# Seen, of init("shop", {replaySample: 0}), event("Bought"):
#   alone: 1 script of Betterlytics, waiting: Bought, to be recorded: 5 per cent
#   before Segment's snippet: 1 script of Betterlytics, waiting: Bought, to be recorded: 5 per cent
#   after Segment's snippet: 0 scripts of Betterlytics, waiting: nothing
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @betterlytics/tracker@0.2.3 @segment/snippet@5.2.1
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const segment = (host) => `<script>${require('@segment/snippet').min({ host, apiKey: 'key' })}</script>`
const betterlytics = `<script type="module">
  import betterlytics from '/betterlytics.js'
  betterlytics.init('shop', { replaySample: 0 })
  betterlytics.event('Bought')
  SEGMENT
  const scripts = document.querySelectorAll('script[data-site-id]')
  const waiting = (window.betterlytics?.q ?? []).map((args) => args[0])
  const sample = scripts[0]?.getAttribute('data-replay-sample')
  fetch('/seen', { method: 'POST', body: scripts.length + (scripts.length === 1 ? ' script' : ' scripts') + ' of Betterlytics, waiting: ' +
    (waiting.join(' ') || 'nothing') + (sample ? ', to be recorded: ' + sample + ' per cent' : '') })
</script>`
const pages = (host) => ({
  alone: betterlytics.replace('SEGMENT', ''),
  "before Segment's snippet": betterlytics.replace('SEGMENT', () => require('@segment/snippet').min({ host, apiKey: 'key' })),
  "after Segment's snippet": segment(host) + betterlytics.replace('SEGMENT', '')
})

async function run (what) {
  let seen
  const told = new Promise((resolve) => { seen = resolve })
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    if (req.url === '/') res.setHeader('Content-Type', 'text/html').write('<!DOCTYPE html>' + pages(req.headers.host)[what])
    if (req.url === '/betterlytics.js') {
      res.setHeader('Content-Type', 'text/javascript').write(fs.readFileSync('node_modules/@betterlytics/tracker/dist/index.js'))
    }
    if (req.url === '/seen') seen(body)
    res.end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', `--user-data-dir=${fs.mkdtempSync(`${process.cwd()}/profile-`)}`,
    '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  console.log(`${what}: ${await told}`)
  const gone = new Promise((resolve) => browser.on('exit', resolve))
  browser.kill()
  await gone
  server.close()
  server.closeAllConnections()
}

async function main () {
  for (const what of Object.keys(pages())) await run(what)
}

main()
EOF
timeout 100 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
alone: 1 script of Betterlytics, waiting: Bought, to be recorded: 5 per cent
before Segment's snippet: 1 script of Betterlytics, waiting: Bought, to be recorded: 5 per cent
after Segment's snippet: 0 scripts of Betterlytics, waiting: nothing
EOF
