#!/usr/bin/env bash
# analytics-client 3.1.2 (balena's) with @amplitude/analytics-browser 2.48.1: linkDevices is to tell
# Amplitude that several devices are one person's, such as a browser and the program whose link was
# followed to it. For each it sets the device of Amplitude's client and calls identify, and at the end
# it sets its own again. But Amplitude's client looks at the device only when it comes to the event in
# its queue, when linkDevices has returned. So all that is sent is of the browser itself, three
# times the same, and what was done with the other devices is never that person's. With the
# option device_id of Amplitude's identify, which goes with the event, it is right.
#
# Expected: an identify of each device.
# Seen, of a client with the device "browser":
#   linkDevices("ada", ["phone", "tablet"]): ada browser, ada browser, ada browser
#   setDeviceId and identify of Amplitude, for each of the same: ada browser, ada browser
#   identify of Amplitude with device_id: ada phone, ada tablet
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund analytics-client@3.1.2 @amplitude/analytics-browser@2.48.1 \
	@amplitude/engagement-browser@1.0.2 esbuild@0.25.0
cat >page.js <<'EOF'
import { createInstance, Identify } from '@amplitude/analytics-browser'
import { createClient } from 'analytics-client'

const project = (name) => name.repeat(32) // what is unsent is stored by project
const options = (path) => ({
  serverUrl: location.origin + path, remoteConfig: { fetchRemoteConfig: false }, autocapture: false, deviceId: 'browser', instanceName: path
})
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const identify = () => new Identify().set('linked', true)

async function amplitude (name, path, link) {
  const client = createInstance()
  await client.init(project(name), 'ada', options(path)).promise
  link(client)
  await client.flush().promise
}

async function main () {
  const { serverUrl, remoteConfig } = options('/linkDevices')
  const client = createClient({ projectName: project('a'), componentName: 'shop', deviceId: 'browser', amplitude: { serverUrl, remoteConfig } })
  await pause(3000) // it is made, and has sent an identify of its own
  client.linkDevices('ada', ['phone', 'tablet'])
  await amplitude('b', '/setDeviceId', (client) => {
    for (const id of ['phone', 'tablet']) {
      client.setDeviceId(id)
      client.identify(identify())
    }
    client.setDeviceId('browser')
  })
  await amplitude('c', '/device_id', (client) => {
    for (const id of ['phone', 'tablet']) client.identify(identify(), { device_id: id })
  })
}

main()
EOF
node_modules/.bin/esbuild page.js --bundle --outfile=bundle.js --log-level=error
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const wanted = { '/linkDevices': 3, '/setDeviceId': 2, '/device_id': 2 }
const seen = { '/linkDevices': [], '/setDeviceId': [], '/device_id': [] }
let done
const all = new Promise((resolve) => { done = resolve })
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  if (req.url === '/') res.setHeader('Content-Type', 'text/html').write('<!DOCTYPE html><script src="/bundle.js"></script>')
  if (req.url === '/bundle.js') res.write(fs.readFileSync('bundle.js'))
  if (seen[req.url]) {
    for (const event of JSON.parse(body).events) if (event.user_id) seen[req.url].push(`${event.user_id} ${event.device_id}`)
    res.setHeader('Content-Type', 'application/json').write('{"code":200,"events_ingested":1}')
  }
  res.end()
  if (Object.keys(wanted).every((path) => seen[path].length >= wanted[path])) done()
})
server.listen(0, '127.0.0.1', async () => {
  const browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', `--user-data-dir=${process.cwd()}/profile`,
    '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' })
  await all
  console.log(`linkDevices("ada", ["phone", "tablet"]): ${seen['/linkDevices'].join(', ')}`)
  console.log(`setDeviceId and identify of Amplitude, for each of the same: ${seen['/setDeviceId'].join(', ')}`)
  console.log(`identify of Amplitude with device_id: ${seen['/device_id'].join(', ')}`)
  const gone = new Promise((resolve) => browser.on('exit', resolve))
  browser.kill()
  await gone
  process.exit()
})
EOF
timeout 60 node main.js "$chromium" | tee seen
diff - seen <<'EOF'
linkDevices("ada", ["phone", "tablet"]): ada browser, ada browser, ada browser
setDeviceId and identify of Amplitude, for each of the same: ada browser, ada browser
identify of Amplitude with device_id: ada phone, ada tablet
EOF
