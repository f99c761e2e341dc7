#!/usr/bin/env bash
# @edgefirst-dev/batcher 1.0.1 (Node): by the README a batcher is made with a window of time in
# milliseconds, and calls a function only once for the same key in that window. There is no window:
# the class has no constructor, and what a key was answered with is kept for as long as the batcher
# lives, which for one of a module, as in the README, is the process. So a price that was read once
# never changes any more. A call that fails is kept too, so that a database that was away for a moment
# is away for ever. And each key stays in memory, such as one for each visitor.
#
# Expected: after the window the function is called again.
# Seen, of new Batcher(10), whose function counts its calls and whose first call fails in the second case:
#   the same key at once: 1 1
#   the same key after 200 ms: 1
#   another key: 2
#   a call that failed, the same key after 200 ms: away
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @edgefirst-dev/batcher@1.0.1
cat >main.mjs <<'EOF'
import { Batcher } from '@edgefirst-dev/batcher'

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let calls = 0
const count = async () => ++calls

const batcher = new Batcher(10)
const both = await Promise.all([batcher.call(['price', 1], count), batcher.call(['price', 1], count)])
console.log(`the same key at once: ${both.join(' ')}`)
await pause(200)
console.log(`the same key after 200 ms: ${await batcher.call(['price', 1], count)}`)
console.log(`another key: ${await batcher.call(['price', 2], count)}`)

calls = 0
const failOnce = async () => {
  if (++calls === 1) throw new Error('away')
  return 'here'
}
await batcher.call(['stock', 1], failOnce).catch(() => {})
await pause(200)
console.log(`a call that failed, the same key after 200 ms: ${await batcher.call(['stock', 1], failOnce).catch((error) => error.message)}`)
EOF
timeout 60 node main.mjs | tee seen
diff - seen <<'EOF'
the same key at once: 1 1
the same key after 200 ms: 1
another key: 2
a call that failed, the same key after 200 ms: away
EOF
