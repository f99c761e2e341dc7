#!/usr/bin/env bash
# @segment/facade 3.4.10, through which destinations of Segment's SDKs read a message:
# revenue() of a text takes $ out and then reads as far as a number goes. "$1,299.50" is
# 1, a thousand times too little, with no error and no undefined by which to tell. A revenue
# of 0 is undefined, so that of a completed order the total is taken instead: what was
# paid for with a voucher is reported as sold.
#
# Expected: 1299.5 or undefined for the text; 0 for 0.
# Seen, of track("Order Completed", ...).revenue():
#   {"revenue":1299.5} 1299.5
#   {"revenue":"$1299.50"} 1299.5
#   {"revenue":"$1,299.50"} 1
#   {"revenue":"1 299,50"} 1
#   {"revenue":"1.299,50"} 1.299
#   {"revenue":0} undefined
#   {"revenue":0,"total":100} 100
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @segment/facade@3.4.10
cat >main.js <<'EOF'
const { Track } = require('@segment/facade')

for (const properties of [
  { revenue: 1299.5 }, { revenue: '$1299.50' }, { revenue: '$1,299.50' }, { revenue: '1 299,50' }, { revenue: '1.299,50' },
  { revenue: 0 }, { revenue: 0, total: 100 }
]) {
  console.log(JSON.stringify(properties), new Track({ userId: 'ada', event: 'Order Completed', properties }).revenue())
}
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
{"revenue":1299.5} 1299.5
{"revenue":"$1299.50"} 1299.5
{"revenue":"$1,299.50"} 1
{"revenue":"1 299,50"} 1
{"revenue":"1.299,50"} 1.299
{"revenue":0} undefined
{"revenue":0,"total":100} 100
EOF
