#!/usr/bin/env bash
# logzio-nodejs 2.5.0: all loggers of a process share one client of HTTP, and each that is made sets the
# headers of that one. So where one logger has the option compress and another has not, both send the
# header of the last that was made. What the first gzips has no Content-Encoding any more, and a
# server finds no JSON in it, or, the other way round, plain text is announced as gzip. The server may
# accept such a body with 200, so that the callback has no error. And the option callback, which is
# told of each bulk, is told no more after the first flush(): without an argument, flush sets it
# back to the default, for good. What fails later is written on the console only.
#
# Expected: each logger has its own header, and its callback for as long as it lives.
# Seen:
#   compress, alone: gzip, content-encoding gzip
#   compress, after a logger without it was made: gzip, content-encoding none
#   after a logger with compress was made: JSON, content-encoding gzip
#   200, then 503, before flush(): the callback was called 2 times, with 1 error
#   200, then 503, after flush(): the callback was called 0 times, with 0 errors
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund logzio-nodejs@2.5.0
cat >main.js <<'EOF'
const http = require('node:http')
const { createLogger } = require('logzio-nodejs')

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let status = 200
let received
const server = http.createServer(async (req, res) => {
  const chunks = []
  for await (const chunk of req) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  received = `${body[0] === 0x1f ? 'gzip' : 'JSON'}, content-encoding ${req.headers['content-encoding'] ?? 'none'}`
  res.writeHead(status).end()
})

server.listen(0, '127.0.0.1', async () => {
  const open = (options) => createLogger({ token: 'token', host: '127.0.0.1', port: server.address().port, bufferSize: 1, ...options })
  const log = async (logger, answer = 200) => {
    status = answer
    logger.log({ event: 'Bought' })
    await pause(300)
    return received
  }
  const first = open({ compress: true })
  console.log(`compress, alone: ${await log(first)}`)
  const second = open({})
  console.log(`compress, after a logger without it was made: ${await log(first)}`)
  open({ compress: true })
  console.log(`after a logger with compress was made: ${await log(second)}`)

  let called = []
  const third = open({ callback: (error) => called.push(error), internalLogger: { log: () => {} } })
  const both = async (what) => {
    called = []
    await log(third, 200)
    await log(third, 503)
    const errors = called.filter(Boolean).length
    console.log(`200, then 503, ${what} flush(): the callback was called ${called.length} times, with ${errors} error${errors === 1 ? '' : 's'}`)
  }
  await both('before')
  status = 200
  third.flush()
  await pause(300)
  await both('after')
  process.exit()
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
compress, alone: gzip, content-encoding gzip
compress, after a logger without it was made: gzip, content-encoding none
after a logger with compress was made: JSON, content-encoding gzip
200, then 503, before flush(): the callback was called 2 times, with 1 error
200, then 503, after flush(): the callback was called 0 times, with 0 errors
EOF
