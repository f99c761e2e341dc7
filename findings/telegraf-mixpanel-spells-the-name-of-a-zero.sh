#!/usr/bin/env bash
# telegraf-mixpanel 1.0.0 with mixpanel 0.4.1, which it brings (Node): in a bot, people.set takes the name of a
# property and its value, or an object with several. Which of the two it is depends on whether the
# value is truthy. So 0, false and an empty text make an object of the name: the person gets the
# properties "0", "1", "2" and so on, each with one letter of it, and the one that was meant keeps
# what it had. A balance that is used up, a subscription that ended or a cleared field is never
# told, and there is no error. The person's name and username are overwritten as well, as they
# are for an object. The client's own people.set, below it, is right about all of these.
#
# Expected: the property has the value.
# Seen, of what is set:
#   people.set("plan", "PRO"): {"plan":"PRO"}
#   people.set("debt", 5): {"debt":5}
#   people.set("debt", 0): {"0":"d","1":"e","2":"b","3":"t","$first_name":"Ada","$last_name":"L","username":"ada"}
#   people.set("mail", false): {"0":"m","1":"a","2":"i","3":"l","$first_name":"Ada","$last_name":"L","username":"ada"}
#   people.set("city", ""): {"0":"c","1":"i","2":"t","3":"y","$first_name":"Ada","$last_name":"L","username":"ada"}
#   the client's own people.set(42, "debt", 0): {"debt":0}
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund telegraf-mixpanel@1.0.0 mixpanel@0.4.1
cat >main.js <<'EOT'
const http = require('node:http')
const TelegrafMixpanel = require('telegraf-mixpanel')

let seen
const server = http.createServer((req, res) => {
  const data = new URL(req.url, 'http://localhost').searchParams.get('data')
  seen = JSON.stringify(JSON.parse(Buffer.from(data, 'base64')).$set)
  res.end('1')
}).listen(0, '127.0.0.1', main)

async function main () {
  const mixpanel = new TelegrafMixpanel('token')
  mixpanel.client.set_config({ host: '127.0.0.1', port: server.address().port, protocol: 'http' })
  const ctx = { from: { id: 42, first_name: 'Ada', last_name: 'L', username: 'ada' } }
  await mixpanel.middleware()(ctx, async () => {})
  for (const [name, value] of [['plan', 'PRO'], ['debt', 5], ['debt', 0], ['mail', false], ['city', '']]) {
    await ctx.mixpanel.people.set(name, value)
    console.log(`people.set("${name}", ${JSON.stringify(value)}): ${seen}`)
  }
  await mixpanel.client.people.setAsync(42, 'debt', 0)
  console.log(`the client's own people.set(42, "debt", 0): ${seen}`)
  process.exit()
}
EOT
timeout 30 node main.js | tee seen
diff - seen <<'EOT'
people.set("plan", "PRO"): {"plan":"PRO"}
people.set("debt", 5): {"debt":5}
people.set("debt", 0): {"0":"d","1":"e","2":"b","3":"t","$first_name":"Ada","$last_name":"L","username":"ada"}
people.set("mail", false): {"0":"m","1":"a","2":"i","3":"l","$first_name":"Ada","$last_name":"L","username":"ada"}
people.set("city", ""): {"0":"c","1":"i","2":"t","3":"y","$first_name":"Ada","$last_name":"L","username":"ada"}
the client's own people.set(42, "debt", 0): {"debt":0}
EOT
