#!/usr/bin/env bash
# @analytics-debugger/ga4mp 0.0.8 (Node): it writes parameters of an event in the short names
# that Google Analytics 4 has for its own requests, by one table for everything. In that
# table a banner (creative_name, creative_slot), which Google documents as parameters of
# view_promotion and select_promotion, has the short names of a campaign. So a click on a
# banner is sent as one that a campaign brought, and where an event has both, one of them is
# gone, by their order. Likewise a price, an id or a name of the event itself, which are
# meant for products, are sent as the like of a product, and are no parameters any more.
#
# Expected: campaign_name as cn, campaign_source as cs, all else as ep. or epn. with its name.
# Seen, of trackEvent("select_promotion", ...):
#   {"creative_name":"summer","creative_slot":"top"}: cn=summer cs=top
#   {"campaign_name":"mail","creative_name":"summer"}: cn=summer
#   {"creative_name":"summer","campaign_name":"mail"}: cn=mail
#   {"name":"summer","price":10,"color":"red"}: nm=summer pr=10 ep.color=red
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @analytics-debugger/ga4mp@0.0.8
cat >main.js <<'EOF'
const { once } = require('node:events')
const http = require('node:http')
const ga4mp = require('@analytics-debugger/ga4mp/dist/ga4mp.umd.js')

async function main () {
  let heard
  const server = http.createServer((req, res) => {
    res.end()
    heard(new URL(req.url, 'http://shop.example').searchParams)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = ga4mp(['G-KEY'], {
    client_id: 'ada', endpoint: `http://127.0.0.1:${server.address().port}/collect`
  })
  const send = (event, parameters) => new Promise((resolve) => {
    heard = resolve
    client.trackEvent(event, parameters)
  })
  const plain = new Set((await send('plain', {})).keys())
  for (const parameters of [
    { creative_name: 'summer', creative_slot: 'top' },
    { campaign_name: 'mail', creative_name: 'summer' },
    { creative_name: 'summer', campaign_name: 'mail' },
    { name: 'summer', price: 10, color: 'red' }
  ]) {
    const query = await send('select_promotion', parameters)
    const own = [...query].filter(([key]) => !plain.has(key) && key !== '_et')
    console.log(`${JSON.stringify(parameters)}: ${own.map((pair) => pair.join('=')).join(' ')}`)
  }
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
{"creative_name":"summer","creative_slot":"top"}: cn=summer cs=top
{"campaign_name":"mail","creative_name":"summer"}: cn=summer
{"creative_name":"summer","campaign_name":"mail"}: cn=mail
{"name":"summer","price":10,"color":"red"}: nm=summer pr=10 ep.color=red
EOF
