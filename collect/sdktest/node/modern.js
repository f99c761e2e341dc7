'use strict'

// Segment's SDK and Customer.io's, which is made of it.
const [pkg, host, writeKey] = process.argv.slice(2)
const { Analytics } = require(pkg)
const story = require('./story')

const analytics = new Analytics({ host, writeKey, flushAt: 4, maxEventsInBatch: 4, maxRetries: 10 })
analytics.on('error', (error) => { console.error(error); process.exitCode = 1 })
for (const call of story.calls) analytics[call](story[call])
analytics.closeAndFlush({ timeout: 30000 })
