#!/usr/bin/env bash
# node-persistent-queue 1.0.3 with sqlite3 4.2.0 (Node): by its doc, delete removes the job with an id from
# the queue, and done, which is called when a job has been handled, removes the current one. But done
# removes whatever is the first in memory. Where a job is deleted while it is handled, such as an
# order that is cancelled at that moment, the first is the one behind it: it is removed from the file
# as well, and nobody ever handled it. Nor is an id easily had: add, by its doc, is fulfilled with the
# id of the job, but with undefined, as is the id of the event add. And has, by its doc fulfilled with
# true or false, has the two functions of a promise the wrong way round: it is rejected with either.
#
# Expected: each job is handled but the one that was deleted before its turn.
# Seen, of orders 1, 2 and 3:
#   add: fulfilled with undefined
#   has, of a job that there is: rejected with true
#   has, of another: rejected with false
#   nothing is deleted: handled 1 2 3, in the file: 0
#   1 is deleted while it is handled: handled 1 3, in the file: 0
#
# Needs Node.js 20, npm, Node.js' headers, Python and a C++ compiler, for sqlite3, which takes a minute.
# Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund node-persistent-queue@1.0.3 sqlite3@4.2.0
cat >main.js <<'EOF'
const Queue = require('node-persistent-queue')

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const settle = (promise) => promise.then((value) => `fulfilled with ${value}`, (value) => `rejected with ${value}`)

async function open (name) {
  const queue = new Queue(name)
  await queue.open()
  return queue
}

async function run (what, name, deleted) {
  const queue = await open(name)
  for (const order of [1, 2, 3]) await queue.add({ order })
  const handled = []
  queue.on('next', async ({ id, job }) => {
    handled.push(job.order)
    if (job.order === deleted) await queue.delete(id)
    await pause(50)
    queue.done()
  })
  queue.start()
  await pause(1000)
  const rows = await new Promise((resolve) => queue.getSqlite3().get('SELECT count(*) AS n FROM queue', (_, row) => resolve(row.n)))
  console.log(`${what}: handled ${handled.join(' ')}, in the file: ${rows}`)
}

async function main () {
  const queue = await open('a.sqlite')
  console.log(`add: ${await settle(queue.add({ order: 1 }))}`)
  const id = await queue.getFirstJobId({ order: 1 })
  console.log(`has, of a job that there is: ${await settle(queue.has(id))}`)
  console.log(`has, of another: ${await settle(queue.has(id + 1))}`)
  await run('nothing is deleted', 'b.sqlite')
  await run('1 is deleted while it is handled', 'c.sqlite', 1)
  process.exit()
}

main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
add: fulfilled with undefined
has, of a job that there is: rejected with true
has, of another: rejected with false
nothing is deleted: handled 1 2 3, in the file: 0
1 is deleted while it is handled: handled 1 3, in the file: 0
EOF
