#!/usr/bin/env bash
# pirsch-sdk 2.9.1 (Node): hitFromRequest makes a hit of a request to a server. Behind proxies
# trustedProxyHeaders names the header from which, by the README, the visitor's address is
# extracted. X-Forwarded-For and Forwarded are lists, one member for each proxy, and in the
# latter an address has a name before it and may have a port after it. The header is
# sent as it is, which is no address. And the client hints are looked for as "Sec-CH-UA" and
# the like, while Node has all names of headers in small letters: they are in no hit.
#
# Expected: ip is the visitor's address; the hints of the request are in the hit.
# Seen, of a request with each header and with Sec-CH-UA: "Chromium";v="140":
#   X-Forwarded-For: 203.0.113.7, 10.0.0.2 ip="203.0.113.7, 10.0.0.2" sec_ch_ua=none
#   Forwarded: for="203.0.113.7:4711";proto=https ip="for=\"203.0.113.7:4711\";proto=https" sec_ch_ua=none
#   X-Real-IP: 203.0.113.7 ip="203.0.113.7" sec_ch_ua=none
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund pirsch-sdk@2.9.1
cat >main.js <<'EOF'
const { once } = require('node:events')
const http = require('node:http')
const { Pirsch } = require('pirsch-sdk')

async function main () {
  let hit
  const pirsch = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    hit = JSON.parse(body)
    res.end()
  }).listen(0, '127.0.0.1')
  await once(pirsch, 'listening')
  const client = new Pirsch({
    baseUrl: `http://127.0.0.1:${pirsch.address().port}`,
    hostname: 'shop.example',
    accessToken: 'pa_' + 'k'.repeat(45),
    trustedProxyHeaders: ['x-forwarded-for', 'forwarded', 'x-real-ip']
  })
  const shop = http.createServer(async (req, res) => {
    await client.hit(client.hitFromRequest(req))
    res.end()
  }).listen(0, '127.0.0.1')
  await once(shop, 'listening')
  for (const [name, value] of [
    ['X-Forwarded-For', '203.0.113.7, 10.0.0.2'], ['Forwarded', 'for="203.0.113.7:4711";proto=https'], ['X-Real-IP', '203.0.113.7']
  ]) {
    const headers = { [name]: value, 'Sec-CH-UA': '"Chromium";v="140"' }
    await fetch(`http://127.0.0.1:${shop.address().port}/`, { headers })
    console.log(`${name}: ${value} ip=${JSON.stringify(hit.ip)} sec_ch_ua=${hit.sec_ch_ua ?? 'none'}`)
  }
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
X-Forwarded-For: 203.0.113.7, 10.0.0.2 ip="203.0.113.7, 10.0.0.2" sec_ch_ua=none
Forwarded: for="203.0.113.7:4711";proto=https ip="for=\"203.0.113.7:4711\";proto=https" sec_ch_ua=none
X-Real-IP: 203.0.113.7 ip="203.0.113.7" sec_ch_ua=none
EOF
