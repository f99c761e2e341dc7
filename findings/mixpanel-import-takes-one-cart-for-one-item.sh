#!/usr/bin/env bash
# mixpanel-import 3.1.43 (Node): Mixpanel takes events with the same $insert_id, name, time and person for
# repeats of one, and keeps one. fixData gives each event an id "for deduplication", a hash of its name,
# its distinct_id and its time, and of nothing else. So two items that were put into the cart at once,
# as an import of orders has them, whose times are whole seconds, are one event with two contents. The
# hash is made before user_id is read. What has no distinct_id, but a user_id, has the same id for all
# people of that second. A country becomes the country code as it is, and a property of the event
# such as the name of a product becomes that of Mixpanel's own with a dollar in front of it. And by
# the README fixData is on by default. It is not.
#
# Expected: events that differ have different ids, and what is said to be the default is.
# Seen, of four events of one second, in a dry run:
#   with fixData, ada's mug and ada's tee: the same $insert_id
#   with fixData, bob's cap and eve's hat, with a user_id: the same $insert_id
#   with fixData, the mug a second later: another $insert_id
#   with fixData, the mug of ada: mp_country_code Germany, $name Mug, name undefined
#   without any option, the mug of ada: $insert_id undefined, country Germany, name Mug
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund mixpanel-import@3.1.43
cat >main.js <<'EOT'
const mixpanelImport = require('mixpanel-import')

const time = '2026-01-02T10:00:00Z'
const events = () => [
  { event: 'Added', properties: { distinct_id: 'ada', time, sku: 'MUG', name: 'Mug', country: 'Germany' } },
  { event: 'Added', properties: { distinct_id: 'ada', time, sku: 'TEE' } },
  { event: 'Added', properties: { user_id: 'bob', time, sku: 'CAP' } },
  { event: 'Added', properties: { user_id: 'eve', time, sku: 'HAT' } },
  { event: 'Added', properties: { distinct_id: 'ada', time: '2026-01-02T10:00:01Z', sku: 'MUG' } }
]

async function run (options) {
  const quiet = { recordType: 'event', dryRun: true, verbose: false, logs: false, showProgress: false }
  const result = await mixpanelImport({ token: 'token' }, events(), { ...quiet, ...options })
  return result.dryRun.map((event) => event.properties)
}

async function main () {
  const [mug, tee, cap, hat, later] = await run({ fixData: true })
  const compare = (a, b) => `${a.$insert_id === b.$insert_id ? 'the same' : 'another'} $insert_id`
  console.log(`with fixData, ada's mug and ada's tee: ${compare(mug, tee)}`)
  console.log(`with fixData, bob's cap and eve's hat, with a user_id: ${compare(cap, hat)}`)
  console.log(`with fixData, the mug a second later: ${compare(mug, later)}`)
  console.log(`with fixData, the mug of ada: mp_country_code ${mug.mp_country_code}, $name ${mug.$name}, name ${mug.name}`)
  const [plain] = await run({})
  console.log(`without any option, the mug of ada: $insert_id ${plain.$insert_id}, country ${plain.country}, name ${plain.name}`)
  process.exit()
}

main()
EOT
timeout 60 node main.js | tee seen
diff - seen <<'EOT'
with fixData, ada's mug and ada's tee: the same $insert_id
with fixData, bob's cap and eve's hat, with a user_id: the same $insert_id
with fixData, the mug a second later: another $insert_id
with fixData, the mug of ada: mp_country_code Germany, $name Mug, name undefined
without any option, the mug of ada: $insert_id undefined, country Germany, name Mug
EOT
