#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): mirror copies each request to a second server, such as events to
# another product on trial, and its answer is ignored. The client has its own answer at
# once. But the next request on the same connection is not looked at until the copy is
# answered or times out (proxy_read_timeout, 60 seconds by default). So where the second
# server hangs, an SDK that keeps its connection sends one request a minute, and its queue
# grows. With a connection for each request there is nothing to see.
#
# Expected: what is ignored holds nobody up.
# Seen, with a second server that never answers and proxy_read_timeout 5s:
#   kept connection: request 1 is answered at once, request 2 after the timeout
#   a connection each: request 1 is answered at once, request 2 is answered at once
#
# Needs Debian's nginx and Node.js 20. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
chmod 755 "$dir"
export PATH=$PATH:/usr/sbin
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')
const { once } = require('node:events')

const listen = async (handler) => {
  const server = http.createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

async function main () {
  const first = await listen((req, res) => req.resume().on('end', () => res.end('ok')))
  const second = await listen((req) => req.resume()) // never answers
  const dir = process.cwd()
  fs.writeFileSync('nginx.conf', `
    daemon off;
    pid ${dir}/pid;
    error_log ${dir}/error.log;
    events {}
    http {
      access_log off;
      ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join('\n')}
      server {
        listen unix:${dir}/socket;
        location / {
          mirror /copy;
          proxy_pass http://127.0.0.1:${first};
        }
        location = /copy {
          internal;
          proxy_pass http://127.0.0.1:${second}$request_uri;
          proxy_read_timeout 5s;
        }
      }
    }`)
  const nginx = spawn('nginx', ['-e', 'error.log', '-p', dir, '-c', 'nginx.conf'], { stdio: 'ignore' })
  while (!fs.existsSync('socket')) await wait(0.05)

  for (const [name, keepAlive] of [['kept connection', true], ['a connection each', false]]) {
    const agent = new http.Agent({ keepAlive, maxSockets: 1 })
    const answers = []
    for (const n of [1, 2]) {
      const begin = Date.now()
      const [res] = await once(http.request({ socketPath: 'socket', method: 'POST', agent }).end('{}'), 'response')
      if (res.statusCode !== 200) throw new Error(res.statusCode)
      await once(res.resume(), 'end')
      answers.push(`request ${n} ${Date.now() - begin < 3000 ? 'is answered at once' : 'after the timeout'}`)
    }
    console.log(`${name}: ${answers.join(', ')}`)
  }
  nginx.kill()
  await once(nginx, 'exit')
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
kept connection: request 1 is answered at once, request 2 after the timeout
a connection each: request 1 is answered at once, request 2 is answered at once
EOF
