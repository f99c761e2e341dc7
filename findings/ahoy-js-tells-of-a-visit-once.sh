#!/usr/bin/env bash
# ahoy.js 0.4.5: before the first event, a page tells the server of the visit: where it began, from where, and
# with which campaign. The cookie that says that there is a visit is set before the request is made,
# and stays if that fails. So after one 503 the visit is told to nobody, on no later page either, and
# all events of the next four hours, the length of a visit, have the id of a visit that the server
# does not know. And the events of the first page are not sent at all: they wait for the answer, and
# are in no queue that outlives the page. They are lost as well if it comes after the page was left.
# The source has "wait until successful to destroy" there, but about another cookie.
#
# Expected: the visit is told again, and the events of the first page arrive.
# Seen, of two pages with an event each, where the first page's request is answered with:
#   200: visit told to /?utm_campaign=spring, Landed of that visit, Ordered of that visit
#   503: Ordered of a visit that was never told
#   200, after the first page was left: visit told to /?utm_campaign=spring, Ordered of that visit
#
# Needs Node.js 20, npm and Chromium. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
chromium=$(command -v chromium || command -v google-chrome)
trap 'sleep 1; rm -rf "$dir"' EXIT # the browser's last process ends after the browser
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund ahoy.js@0.4.5
cat >main.js <<'EOT'
const fs = require('node:fs')
const http = require('node:http')
const { spawn } = require('node:child_process')

const page = (event, next) => `<!DOCTYPE html><script src="/ahoy.js"></script><script>
ahoy.track('${event}')
setTimeout(() => { ${next} }, 2000)
</script>`

let browser
let seen
let told // the visit
let failing
const server = http.createServer(async (req, res) => {
  const url = new URL(req.url, 'http://localhost')
  let body = ''
  for await (const part of req) body += part
  switch (url.pathname) {
    case '/': return res.setHeader('Content-Type', 'text/html').end(page('Landed', 'location = "/cart"'))
    case '/cart': return res.setHeader('Content-Type', 'text/html').end(page('Ordered', 'fetch("/end")'))
    case '/ahoy.js': return res.setHeader('Content-Type', 'text/javascript').end(fs.readFileSync('node_modules/ahoy.js/dist/ahoy.js'))
    case '/ahoy/visits': {
      const how = failing
      failing = '200'
      if (how === '503') {
        res.statusCode = 503
        break
      }
      const visit = JSON.parse(body)
      told = visit.visit_token
      const landing = new URL(visit.landing_page)
      seen.push(`visit told to ${landing.pathname}${landing.search}`)
      if (how !== '200') await new Promise((resolve) => setTimeout(resolve, 3000))
      break
    }
    case '/ahoy/events': {
      const field = (name) => body.match(new RegExp(`name="${name}"\\s+(.*)`))[1].trim() // of a multipart form
      for (const event of JSON.parse(field('events_json'))) {
        seen.push(`${event.name} of ${field('visit_token') === told ? 'that visit' : 'a visit that was never told'}`)
      }
      break
    }
    case '/end':
      browser.kill()
  }
  res.end('{}')
}).listen(0, '127.0.0.1', main)

async function main () {
  for (const [i, how] of ['200', '503', '200, after the first page was left'].entries()) {
    seen = []
    told = undefined
    failing = how
    browser = spawn(process.argv[2], ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      `--user-data-dir=${process.cwd()}/profile${i}`, `http://127.0.0.1:${server.address().port}/?utm_campaign=spring`], { stdio: 'ignore' })
    await new Promise((resolve) => browser.on('exit', resolve))
    console.log(`${how}: ${seen.join(', ')}`)
  }
  process.exit()
}
EOT
timeout 100 node main.js "$chromium" | tee seen
diff - seen <<'EOT'
200: visit told to /?utm_campaign=spring, Landed of that visit, Ordered of that visit
503: Ordered of a visit that was never told
200, after the first page was left: visit told to /?utm_campaign=spring, Ordered of that visit
EOT
