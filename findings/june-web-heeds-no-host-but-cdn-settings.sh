#!/usr/bin/env bash
# @june-so/analytics-next 2.0.0, which is made of Segment's SDK for browsers: a host that
# is given as an option of load, as one does with Segment's and with Hightouch's, is passed
# over in silence, and so is the cdnURL, from which no settings are ever asked for. Events
# go to June's own host. Only a host in cdnSettings counts.
#
# Seen:
#   june 2.0.0, cdnURL: api.june.so/sdk/track
#   june 2.0.0, an option of load: api.june.so/sdk/track
#   june 2.0.0, cdnSettings: collect.example/v1/track
#   segment 1.84.3, cdnURL: collect.example/v1/t
#   segment 1.84.3, an option of load: collect.example/v1/t
#   segment 1.84.3, cdnSettings: collect.example/v1/t
#
# The pages have no network: what an SDK asks for is read off its calls of fetch.
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @june-so/analytics-next@2.0.0 @segment/analytics-next@1.84.3
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const host = '{apiHost: "collect.example/v1"}'
const ways = {
  cdnURL: () => '{writeKey: "key", cdnURL: "https://collect.example"}',
  'an option of load': (name) => `{writeKey: "key"}, {integrations: {"${name}": ${host}}}`,
  cdnSettings: (name) => `{writeKey: "key", cdnSettings: {integrations: {"${name}": ${host}}}}`
}
const sdks = {
  june: ['@june-so/analytics-next', 'june.so'],
  segment: ['@segment/analytics-next', 'Segment.io']
}
// What a server answers that is asked for the settings of a project.
const settings = { integrations: { 'Segment.io': { apiKey: 'key', apiHost: 'collect.example/v1' } } }

async function run (sdk, way) {
  const [pkg, name] = sdks[sdk]
  let asked
  const first = new Promise((resolve) => { asked = resolve })
  const server = http.createServer((req, res) => {
    if (req.url === '/sdk.js') return res.end(fs.readFileSync(`node_modules/${pkg}/dist/umd/index.js`))
    if (req.url.startsWith('/asked?')) asked(decodeURIComponent(req.url.slice('/asked?'.length)).replace('https://', ''))
    res.setHeader('Content-Type', 'text/html').end(`<!DOCTYPE html><script>
      const real = fetch
      window.fetch = async (url) => {
        if (String(url).endsWith("/settings")) return Response.json(${JSON.stringify(settings)})
        await real("/asked?" + encodeURIComponent(url))
        return Response.json({success: true})
      }</script><script src="/sdk.js"></script><script>
      AnalyticsNext.AnalyticsBrowser.load(${ways[way](name)}).track("A")</script>`)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    `--user-data-dir=${process.cwd()}/${sdk}-${Object.keys(ways).indexOf(way)}`, '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  const where = await Promise.race([first, new Promise((resolve) => setTimeout(resolve, 30000, 'nowhere'))])
  console.log(`${sdk} ${require(`./node_modules/${pkg}/package.json`).version}, ${way}: ${where}`)
  const gone = new Promise((resolve) => browser.on('exit', resolve))
  browser.kill()
  await gone
  server.close()
}

(async () => {
  for (const sdk in sdks) for (const way in ways) await run(sdk, way)
})()
EOF
timeout 300 node main.js "$chromium" | tee seen
diff seen - <<'EOF'
june 2.0.0, cdnURL: api.june.so/sdk/track
june 2.0.0, an option of load: api.june.so/sdk/track
june 2.0.0, cdnSettings: collect.example/v1/track
segment 1.84.3, cdnURL: collect.example/v1/t
segment 1.84.3, an option of load: collect.example/v1/t
segment 1.84.3, cdnSettings: collect.example/v1/t
EOF
