'use strict'

// RudderStack's SDKs and analytics-node, which are of one family: a call tells its
// callback what became of its batch.
const [pkg, host, writeKey, gzip] = process.argv.slice(2)
const Analytics = require(pkg)
const story = require('./story')

const analytics = new Analytics(writeKey, { host, dataPlaneUrl: host, flushAt: 4, flushInterval: 100, retryCount: 10, gzip: gzip === 'gzip' })

async function run () {
  const sent = story.calls.map((call) => new Promise((resolve, reject) => {
    analytics[call](story[call], (error) => error ? reject(error) : resolve())
  }))
  analytics.flush()
  await Promise.all(sent)
}

run().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
