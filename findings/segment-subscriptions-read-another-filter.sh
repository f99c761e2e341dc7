#!/usr/bin/env bash
# @segment/destination-subscriptions 3.37.0, which decides for Segment's action destinations
# what events they get: the parser has one operator for a list of conditions, the last that
# it meets. A filter with both "and" and "or", and no parentheses, is read as if it had only
# that one, so that it takes, or refuses, what no way to group it would. And match() knows only
# a star at the end; any other pattern has its first letter cut off and is compared with
# the end of the text. Nothing is said of it; parseFql returns no error.
# @segment/tsub 2.0.1, which decides the same in browsers, has it right.
#
# Expected: an event passes a filter or not, whichever of the two packages is asked.
# Seen:
#   type = "track" and event = "Bought" or event = "Refunded"
#     Viewed: subscriptions true, tsub false
#   event = "Bought" or type = "track" and properties.total > 10
#     Refunded with a total of 20: subscriptions false, tsub true
#   match(event, "Viewed")
#     Reviewed: subscriptions true, tsub false
#   match(event, "*Order*")
#     New Order Paid: subscriptions false, tsub true
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @segment/destination-subscriptions@3.37.0 @segment/tsub@2.0.1
cat >main.js <<'EOF'
const { parseFql, validate } = require('@segment/destination-subscriptions')
const { matches } = require('@segment/tsub')

// What tsub is given is the filter in its own form, which Segment's servers make.
const equals = (path, value) => ['=', path, { value }]
const more = (path, value) => ['>', path, { value }]
const filters = [
  ['type = "track" and event = "Bought" or event = "Refunded"',
    ['or', ['and', equals('type', 'track'), equals('event', 'Bought')], equals('event', 'Refunded')],
    'Viewed', { event: 'Viewed' }],
  ['event = "Bought" or type = "track" and properties.total > 10',
    ['or', equals('event', 'Bought'), ['and', equals('type', 'track'), more('properties.total', 10)]],
    'Refunded with a total of 20', { event: 'Refunded', properties: { total: 20 } }],
  ['match(event, "Viewed")', ['match', 'event', { value: 'Viewed' }], 'Reviewed', { event: 'Reviewed' }],
  ['match(event, "*Order*")', ['match', 'event', { value: '*Order*' }],
    'New Order Paid', { event: 'New Order Paid' }]
]
for (const [filter, ir, name, event] of filters) {
  const parsed = parseFql(filter)
  if (parsed.error) throw parsed.error
  const message = { type: 'track', properties: {}, ...event }
  const subscriptions = validate(parsed, message)
  const tsub = matches(message, { type: 'fql', ir: JSON.stringify(ir) })
  console.log(`${filter}\n  ${name}: subscriptions ${subscriptions}, tsub ${tsub}`)
}
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
type = "track" and event = "Bought" or event = "Refunded"
  Viewed: subscriptions true, tsub false
event = "Bought" or type = "track" and properties.total > 10
  Refunded with a total of 20: subscriptions false, tsub true
match(event, "Viewed")
  Reviewed: subscriptions true, tsub false
match(event, "*Order*")
  New Order Paid: subscriptions false, tsub true
EOF
