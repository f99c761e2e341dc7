#!/usr/bin/env bash
# amazon-dsp-formatter 1.0.2 (Node): it puts customers' data into the form that Amazon Ads compares
# with its own, once it is hashed. By the README, formatPostal goes by regional specifications. It
# cuts off the last four characters, whatever the country, which is right for an American postcode
# of nine digits only. Of one of five a digit is left. The README's own example, K1A 0B1, becomes k1
# and not k1a0b. formatPhone, by a comment, adds the country's prefix if it is missing, but adds it
# always. formatState never meets a name of two words, except by one of them. And formatRecord asks
# for the country, but takes the address and the state for American ones. None of it is an error, so
# that these customers are in no audience, and nobody can tell why.
#
# Expected: what the README says; the country of the record counts.
# Seen:
#   formatPostal: 12345-6789 is 12345, 12345 is 1, K1A 0B1 is k1
#   formatPhone of a number in the US: (212) 555-0100 is 12125550100, +1 (212) 555-0100 is 112125550100
#   formatState in the US: Texas is tx, New York is newyork, West Virginia is westva
#   formatState("Ontario", "Canada"): on
#   formatRecord, Canada: state ontario, postal k1, phone 116135550100
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund amazon-dsp-formatter@1.0.2
cat >main.js <<'EOF'
const Formatter = require('amazon-dsp-formatter')

const formatter = new Formatter()
const show = (what, values, format) => console.log(`${what}: ${values.map((value) => `${value} is ${format(value)}`).join(', ')}`)
show('formatPostal', ['12345-6789', '12345', 'K1A 0B1'], (postal) => formatter.formatPostal(postal))
show('formatPhone of a number in the US', ['(212) 555-0100', '+1 (212) 555-0100'], (phone) => formatter.formatPhone(phone, 'us'))
show('formatState in the US', ['Texas', 'New York', 'West Virginia'], (state) => formatter.formatState(state, 'us'))
console.log(`formatState("Ontario", "Canada"): ${formatter.formatState('Ontario', 'Canada')}`)
const { state, postal, phone } = formatter.formatRecord({ country: 'Canada', state: 'Ontario', postal: 'K1A 0B1', phone: '+1 613 555 0100' })
console.log(`formatRecord, Canada: state ${state}, postal ${postal}, phone ${phone}`)
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
formatPostal: 12345-6789 is 12345, 12345 is 1, K1A 0B1 is k1
formatPhone of a number in the US: (212) 555-0100 is 12125550100, +1 (212) 555-0100 is 112125550100
formatState in the US: Texas is tx, New York is newyork, West Virginia is westva
formatState("Ontario", "Canada"): on
formatRecord, Canada: state ontario, postal k1, phone 116135550100
EOF
