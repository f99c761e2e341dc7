#!/usr/bin/env bash
# collectd 5.12.0 (Debian 12): write_http gathers values and sends them once its buffer is full. FLUSH of
# the unixsock plugin, which by its doc flushes the plugin that is named, such as before a restart,
# answers how many were flushed. But the name that counts has the node's behind a slash, as in
# write_http/shop. Where it is not that, nothing is sent, and the answer is 1 successful, 0 errors. It
# is the same for a plugin that there is not. With the right name it is the same, too, if the server
# answers 503: the values are gone, nothing is logged unless LogHttpError is on, and the next
# flush does not have them.
#
# Expected: what was not flushed, or not accepted, is no success.
# Seen, of one value each (0 Success: 1 value has been dispatched.) and a FLUSH:
#   plugin=write_http: 0 Done: 1 successful, 0 errors, received 0 values
#   plugin=no_such_plugin: 0 Done: 1 successful, 0 errors, received 0 values
#   plugin=write_http/shop: 0 Done: 1 successful, 0 errors, received 3 values
#   plugin=write_http/shop, answered with 503: 0 Done: 1 successful, 0 errors, refused 1 value
#   plugin=write_http/shop, once more: 0 Done: 1 successful, 0 errors, received 0 values
#   the log has a line of write_http: no
#
# Needs Debian's collectd-core, libyajl2 and Node.js 20. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export PATH=$PATH:/usr/sbin
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const { spawn } = require('node:child_process')

const dir = process.cwd()
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let status = 200
let values = 0
const server = http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  values += body.split('PUTVAL').length - 1
  res.writeHead(status).end()
})
const ask = (command) => new Promise((resolve) => {
  const socket = net.connect('socket', () => socket.write(`${command}\n`))
  socket.once('data', (answer) => {
    socket.destroy()
    resolve(String(answer).trim())
  })
})

server.listen(0, '127.0.0.1', async () => {
  fs.writeFileSync('collectd.conf', `
    Hostname "shop"
    FQDNLookup false
    BaseDir "${dir}"
    PIDFile "${dir}/pid"
    Interval 1
    LoadPlugin logfile
    <Plugin logfile>
      File "${dir}/log"
    </Plugin>
    LoadPlugin write_http
    <Plugin write_http>
      <Node "shop">
        URL "http://127.0.0.1:${server.address().port}/"
      </Node>
    </Plugin>
    LoadPlugin unixsock
    <Plugin unixsock>
      SocketFile "${dir}/socket"
      SocketGroup "root"
    </Plugin>
`)
  const collectd = spawn('collectd', ['-f', '-C', 'collectd.conf'], { stdio: 'ignore' })
  while (!fs.existsSync('socket')) await pause(50)
  const flush = async (plugin, what, word) => {
    values = 0
    const answer = await ask(`FLUSH plugin=${plugin}`)
    await pause(500)
    console.log(`plugin=${plugin}${what}: ${answer}, ${word} ${values} value${values === 1 ? '' : 's'}`)
  }
  const put = async () => {
    const answer = await ask('PUTVAL shop/orders/gauge-sold interval=1 N:1')
    if (!answer.startsWith('0 Success')) throw new Error(answer)
    await pause(1500) // the next value has to be younger
  }
  await put()
  await flush('write_http', '', 'received')
  await put()
  await flush('no_such_plugin', '', 'received')
  await put()
  await flush('write_http/shop', '', 'received')
  await put()
  status = 503
  await flush('write_http/shop', ', answered with 503', 'refused')
  status = 200
  await flush('write_http/shop', ', once more', 'received')
  const logged = fs.readFileSync('log', 'utf8').split('\n').some((line) => line.includes('write_http plugin'))
  console.log(`the log has a line of write_http: ${logged ? 'yes' : 'no'}`)
  collectd.on('exit', () => process.exit())
  collectd.kill()
})
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
plugin=write_http: 0 Done: 1 successful, 0 errors, received 0 values
plugin=no_such_plugin: 0 Done: 1 successful, 0 errors, received 0 values
plugin=write_http/shop: 0 Done: 1 successful, 0 errors, received 3 values
plugin=write_http/shop, answered with 503: 0 Done: 1 successful, 0 errors, refused 1 value
plugin=write_http/shop, once more: 0 Done: 1 successful, 0 errors, received 0 values
the log has a line of write_http: no
EOF
