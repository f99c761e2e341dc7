#!/usr/bin/env bash
# node-avo-inspector 1.1.1: Avo is told the types of an event's properties, and reports where two
# sources, or two versions, differ. The package tells int from float by whether the number
# as text has a point, so that a price has the type of its amount: 12.50 is a float, 13.00 an
# int, and 0.0000001, which JavaScript writes as 1e-7, an int. A list has the type of its
# first member, and where that is null, or there is none, it is a list of texts. And in a list of
# objects the equal ones are to be told once, but no two of them are ever equal.
#
# Expected: one property, filled by one program, has one type.
# Seen, of extractSchema:
#   {price: 12.5} float
#   {price: 13} int
#   {price: 1e-7} int
#   {prices: [12.5, 13]} list(float)
#   {prices: [13, 12.5]} list(int)
#   {prices: [null, 13]} list(string)
#   {prices: []} list(string)
#   an order of 3 items: 3 times the same item
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund node-avo-inspector@1.1.1
cat >main.js <<'EOF'
const { AvoInspector, AvoInspectorEnv } = require('node-avo-inspector')

const inspector = new AvoInspector({ apiKey: 'key', env: AvoInspectorEnv.Prod, version: '1', appName: 'shop' })
for (const price of [12.5, 13, 0.0000001]) {
  const [{ propertyType }] = inspector.extractSchema({ price })
  console.log(`{price: ${price}} ${propertyType}`)
}
for (const prices of [[12.5, 13], [13, 12.5], [null, 13], []]) {
  const [{ propertyType }] = inspector.extractSchema({ prices })
  console.log(`{prices: [${prices.map(String).join(', ')}]} ${propertyType}`)
}
const items = [1, 2, 3].map((number) => ({ sku: `mug ${number}` }))
const [{ children }] = inspector.extractSchema({ items })
const different = new Set(children.map((child) => JSON.stringify(child))).size
console.log(`an order of ${items.length} items: ${children.length} times the same item${different > 1 ? ', or not' : ''}`)
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
{price: 12.5} float
{price: 13} int
{price: 1e-7} int
{prices: [12.5, 13]} list(float)
{prices: [13, 12.5]} list(int)
{prices: [null, 13]} list(string)
{prices: []} list(string)
an order of 3 items: 3 times the same item
EOF
