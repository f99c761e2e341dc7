#!/usr/bin/env bash
# keen-tracking 5.0.1 (Node): what is not 408, 500, 502, 503 or 504 is a failure only if its
# body is JSON with an error_code. So the pages with which a proxy refuses a request, such
# as 413 of nginx for a long recordEvents, 403 of a firewall or 429 of a limiter, count as
# recorded: the callback has no error and the promise is fulfilled, with undefined.
#
# Expected: 4xx is an error, whoever answers it.
# Seen, behind nginx 1.22.1 with its default client_max_body_size of 1 MB:
#   1 event: the server got 1, the callback: no error, fulfilled with an answer
#   20000 events: the server got 0, the callback: no error, fulfilled with undefined
#
# Needs Debian's nginx, Node.js 20 and npm. Exits with another status than 0 if that
# changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
chmod 755 "$dir"
export PATH=$PATH:/usr/sbin
npm install --silent --ignore-scripts --no-audit --no-fund keen-tracking@5.0.1
cat >main.js <<'EOF'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const Keen = require('keen-tracking')

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

async function main () {
  let got
  const server = http.createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    got = JSON.parse(body).Bought.length
    res.end('{"Bought":[{"success":true}]}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
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
          proxy_pass http://127.0.0.1:${server.address().port};
        }
      }
    }`)
  const nginx = spawn('nginx', ['-e', 'error.log', '-p', dir, '-c', 'nginx.conf'], { stdio: 'ignore' })
  while (!fs.existsSync('socket')) await wait(0.05)

  for (const count of [1, 20000]) {
    got = 0
    const client = new Keen({ projectId: 'project', writeKey: 'key', host: 'host', protocol: 'http', nodeRequestConfig: { host: undefined, socketPath: 'socket' } })
    const events = Array.from({ length: count }, (_, i) => ({ item: 'mug', comment: 'for a present, please wrap it', n: i }))
    let heard
    const fulfilled = await client.recordEvents({ Bought: events }, (error) => { heard = error ? 'an error' : 'no error' })
    console.log(`${count} event${count > 1 ? 's' : ''}: the server got ${got}, the callback: ${heard}, fulfilled with ${fulfilled === undefined ? 'undefined' : 'an answer'}`)
  }
  nginx.kill()
  await once(nginx, 'exit')
  process.exit(0)
}
main()
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
1 event: the server got 1, the callback: no error, fulfilled with an answer
20000 events: the server got 0, the callback: no error, fulfilled with undefined
EOF
