'use strict'

const RudderAnalytics = require('@rudderstack/rudder-sdk-node')
const story = require('./story')

const [dataPlaneUrl, writeKey, gzip] = process.argv.slice(2)
const analytics = new RudderAnalytics(writeKey, { dataPlaneUrl, flushAt: 4, flushInterval: 100, retryCount: 10, gzip: gzip === 'gzip' })

async function run () {
  const sent = story.calls.map((call) => new Promise((resolve, reject) => {
    analytics[call](story[call], (error) => error ? reject(error) : resolve())
  }))
  analytics.flush()
  await Promise.all(sent)
}

run().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
