#!/usr/bin/env bash
# @fiverr/statsd-client 1.1.2 (Node): a client is made with a host and a port. With TCP all clients of a
# process share one socket, which is the module's and goes to the server of whichever client sent
# first. So what a second client counts, such as one of another team or another region, arrives at
# the first server, with no error. If nothing was sent for three seconds the socket is closed, and the
# next to send decides anew. Metrics that are sent together have a newline between them, but there
# is none after the last. In a stream, where a newline is all that tells lines apart, the first of each
# packet is glued to the last of the one before, and a server can read neither. And the client
# flushes when the process exits, for which it has code of its own, but what is written then never
# leaves the process: a command that ends within a second, the default wait, counts nothing.
#
# Expected: each client sends to its own server, each metric is a line, and the exit loses nothing.
# Seen, of what arrives at two servers:
#   TCP, orders by the first client, refunds by the second: first "orders:1|crefunds:1|c", second ""
#   TCP, four seconds later, the second client first: first "", second "refunds:1|corders:1|c"
#   TCP, one client, orders and clicks together, returns later: "orders:1|c\nclicks:1|creturns:1|c"
#   UDP, orders by the first client, refunds by the second: first "orders:1|c", second "refunds:1|c"
#   a process that counts and ends, with TCP: ""
#   a process that counts and ends, with UDP: ""
#   one that waits for two seconds, with UDP: "orders:1|c"
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund @fiverr/statsd-client@1.1.2
cat >job.js <<'EOT'
const Client = require("@fiverr/statsd-client");
new Client({ protocol: process.argv[2], port: Number(process.argv[3]) }).count("orders");
setTimeout(() => process.exit(), Number(process.argv[4]));
EOT
cat >main.js <<'EOT'
const net = require("net");
const dgram = require("dgram");
const { spawn } = require("child_process");
const Client = require("@fiverr/statsd-client");

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const take = (server) => JSON.stringify(server.seen.splice(0).join(""));

async function listen(protocol) {
  const seen = [];
  if (protocol === "UDP") {
    const socket = dgram.createSocket("udp4", (data) => seen.push(String(data)));
    await new Promise((done) => socket.bind(0, "127.0.0.1", done));
    return { seen, port: socket.address().port };
  }
  const server = net.createServer((c) => c.on("error", () => {}).on("data", (data) => seen.push(String(data))));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { seen, port: server.address().port };
}

async function job(protocol, ms) {
  const server = await listen(protocol);
  const ended = new Promise((done) => spawn(process.execPath, ["job.js", protocol, server.port, ms]).on("exit", done));
  await ended;
  await wait(500);
  return take(server);
}

(async () => {
  const [a, b] = [await listen("TCP"), await listen("TCP")];
  const first = new Client({ protocol: "TCP", port: a.port, timeout: 100 });
  const second = new Client({ protocol: "TCP", port: b.port, timeout: 100 });
  first.count("orders");
  await wait(10);
  second.count("refunds");
  await wait(700);
  console.log(`TCP, orders by the first client, refunds by the second: first ${take(a)}, second ${take(b)}`);
  await wait(4000);
  second.count("refunds");
  await wait(10);
  first.count("orders");
  await wait(700);
  console.log(`TCP, four seconds later, the second client first: first ${take(a)}, second ${take(b)}`);
  await wait(4000);
  first.count("orders");
  first.count("clicks");
  await wait(700);
  first.count("returns");
  await wait(700);
  console.log(`TCP, one client, orders and clicks together, returns later: ${take(a)}`);

  const [c, d] = [await listen("UDP"), await listen("UDP")];
  new Client({ port: c.port, timeout: 100 }).count("orders");
  new Client({ port: d.port, timeout: 100 }).count("refunds");
  await wait(700);
  console.log(`UDP, orders by the first client, refunds by the second: first ${take(c)}, second ${take(d)}`);

  console.log(`a process that counts and ends, with TCP: ${await job("TCP", 100)}`);
  console.log(`a process that counts and ends, with UDP: ${await job("UDP", 100)}`);
  console.log(`one that waits for two seconds, with UDP: ${await job("UDP", 2000)}`);
  process.exit();
})();
EOT
timeout 60 node main.js | tee seen
diff - seen <<'EOT'
TCP, orders by the first client, refunds by the second: first "orders:1|crefunds:1|c", second ""
TCP, four seconds later, the second client first: first "", second "refunds:1|corders:1|c"
TCP, one client, orders and clicks together, returns later: "orders:1|c\nclicks:1|creturns:1|c"
UDP, orders by the first client, refunds by the second: first "orders:1|c", second "refunds:1|c"
a process that counts and ends, with TCP: ""
a process that counts and ends, with UDP: ""
one that waits for two seconds, with UDP: "orders:1|c"
EOT
