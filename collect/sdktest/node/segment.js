'use strict'

const { Analytics } = require('@segment/analytics-node')
const story = require('./story')

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ host, writeKey, flushAt: 4, maxRetries: 10 })
analytics.on('error', (error) => { console.error(error); process.exitCode = 1 })
for (const call of story.calls) analytics[call](story[call])
analytics.closeAndFlush({ timeout: 30000 })
