#!/usr/bin/env bash
# thinkingdata-node 1.5.0: before an event is sent, the names of its properties are checked, and
# dates are written in the form of all the others, the local time as "2026-01-02 03:04:05.000".
# Both go through the properties with a loop that takes whatever has a number named length
# for a list. So an event with a property length, such as that of a film, is not looked at: a
# name that is refused elsewhere is sent, and a date is sent in UTC, in another form. In the
# same project, the same moment is then eight hours off, or no date at all.
#
# Expected: what else an event has makes no difference to a date, or to a name.
# Seen, in Asia/Shanghai:
#   {minutes: 90, when}: when=2026-01-02 03:04:05.000
#   {minutes: 90, "when-seen"}: refused, invalid properties
#   {length: 90, when}: when=2026-01-01T19:04:05.000Z
#   {length: 90, "when-seen"}: when-seen=2026-01-01T19:04:05.000Z
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund thinkingdata-node@1.5.0
cat >main.js <<'EOF'
const http = require('node:http')
const ThinkingData = require('thinkingdata-node')

let answered
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  res.end('{"code":0}')
  answered(JSON.parse(body)[0].properties)
})

async function main (client) {
  const when = new Date(2026, 0, 2, 3, 4, 5)
  const events = ['minutes', 'length'].flatMap((measure) => ['when', 'when-seen'].map((name) => [measure, name]))
  for (const [measure, name] of events) {
    const shown = name === 'when' ? name : `"${name}"`
    const properties = await new Promise((resolve) => {
      answered = resolve
      const callback = (error) => error && resolve(error)
      client.track({ accountId: 'ada', event: 'Watched', properties: { [measure]: 90, [name]: when }, callback })
    })
    const seen = properties instanceof Error ? `refused, ${properties.message}` : `${name}=${properties[name]}`
    console.log(`{${measure}: 90, ${shown}}: ${seen}`)
  }
  process.exit(0)
}
server.listen(0, '127.0.0.1', () => {
  main(ThinkingData.initWithBatchMode('app', `http://127.0.0.1:${server.address().port}`, { batchSize: 1, compress: false }))
})
EOF
TZ=Asia/Shanghai timeout 60 node main.js | tee seen
diff - seen <<'EOF'
{minutes: 90, when}: when=2026-01-02 03:04:05.000
{minutes: 90, "when-seen"}: refused, invalid properties
{length: 90, when}: when=2026-01-01T19:04:05.000Z
{length: 90, "when-seen"}: when-seen=2026-01-01T19:04:05.000Z
EOF
