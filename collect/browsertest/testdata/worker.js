importScripts("/node_modules/@rudderstack/analytics-js-service-worker/dist/npm/modern/umd/index.js");
const analytics = new rudderServiceWorker.Analytics("{{.Key}}", "{{.Collect}}", {flushAt: 3, flushInterval: 500, logLevel: "error"});
// A page of the site hands over what it has to tell.
self.addEventListener("message", (message) => analytics[message.data.call](message.data.message));
