#!/usr/bin/env bash
# node-dogstatsd 0.0.7 and node-dogstatsd-events 0.0.2, which is made of it: with a sample rate a
# counter is sent at random, in that part of the cases, and the server makes up for the rest. But
# the random numbers come from a generator of the package's own, which is never seeded, so that
# they are the same series in each process. The first is 0.81. A program that counts once in each
# run, such as a job, or a function that is started for one event, so never sends anything at
# rates up to 0.8, however often it is run, and always at higher ones. Workers that count the same
# things keep and drop them in step. Only a single long run has the numbers right.
#
# Expected: of 20 runs at a rate of 0.5 about 10 are sent, and counted as about 20.
# Seen, of each package, of programs that count once:
#   20 runs at 0.5: 0 sent, counted as 0
#   20 runs at 0.9: 20 sent, counted as 22
#   1 run that counts 100 times, at 0.5: about 50 sent
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund node-dogstatsd@0.0.7 node-dogstatsd-events@0.0.2
cat >count.js <<'EOF'
const [name, port, rate, times] = process.argv.slice(2)
const { StatsD } = require(name)
const client = new StatsD('127.0.0.1', Number(port))
for (let i = 0; i < Number(times); i++) client.increment('orders', Number(rate))
EOF
cat >main.js <<'EOF'
const dgram = require('node:dgram')
const { spawn } = require('node:child_process')

const server = dgram.createSocket('udp4')
let sent
let counted
server.on('message', (message) => {
  const [, n, rate] = String(message).match(/^orders:(\d+)\|c\|@([\d.]+)$/)
  sent++
  counted += n / rate
})
async function run (name, rate, times) {
  const args = ['--no-deprecation', 'count.js', name, server.address().port, rate, times]
  await new Promise((resolve) => spawn(process.execPath, args).on('exit', resolve))
}
async function runs (name, rate) {
  sent = counted = 0
  await Promise.all(Array.from({ length: 20 }, () => run(name, rate, 1)))
  console.log(`20 runs at ${rate}: ${sent} sent, counted as ${Math.round(counted)}`)
}
server.bind(0, '127.0.0.1', async () => {
  for (const name of ['node-dogstatsd', 'node-dogstatsd-events']) {
    await runs(name, 0.5)
    await runs(name, 0.9)
    sent = counted = 0
    await run(name, 0.5, 100)
    console.log(`1 run that counts 100 times, at 0.5: ${Math.abs(sent - 50) < 15 ? 'about 50' : sent} sent`)
  }
  server.close()
})
EOF
timeout 100 node main.js | tee seen
diff - seen <<'EOF'
20 runs at 0.5: 0 sent, counted as 0
20 runs at 0.9: 20 sent, counted as 22
1 run that counts 100 times, at 0.5: about 50 sent
20 runs at 0.5: 0 sent, counted as 0
20 runs at 0.9: 20 sent, counted as 22
1 run that counts 100 times, at 0.5: about 50 sent
EOF
