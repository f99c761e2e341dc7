'use strict'

// Writes the snippet that a page of Segment's has, for a write key and the host
// that it loads from.
const [apiKey, host] = process.argv.slice(2)
const snippet = require('@segment/snippet').min({ apiKey, host, page: false })
process.stdout.write('<script>' + snippet + '</script>')
