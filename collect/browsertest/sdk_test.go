package browsertest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An sdk is one of npm, in one of its ways of sending. Its page is what a shop
// writes: beside what loads the SDK, one line.
type sdk struct {
	name    string
	page    string // of testdata, or empty for Segment's snippet
	options string // of the load, for the way of sending, and to make tests short
	reset   string // what ends a visit, and everything that is known of the visitor
	// first says that it is the first of its family, which is enough for a short test.
	first bool
	// alike says that its pages end as those of another one do, which is tried with
	// -long only.
	alike bool
	// deaf says that it never hears an answer: what is answered with 429 or 503 is
	// lost.
	deaf bool
	// blind says that it does not look at the status of an answer. Those of 429 and 503
	// are kept from it, so that it repeats what met one.
	blind bool
	// offline says that it loses what is tracked without a network.
	offline bool
	// hasty says that it loses what it is at work on as its page ends, which is in none
	// of its queues for a moment. That is seldom.
	hasty bool
}

var sdks = []sdk{
	{name: "RudderStack", page: "rudderstack.html", reset: "analytics.reset(true)", first: true},
	{
		name: "RudderStack, batches", page: "rudderstack.html", reset: "analytics.reset(true)", alike: true,
		options: ", queueOptions: {batch: {enabled: true, maxItems: 3, flushInterval: 500}}",
	},
	{
		name: "RudderStack, beacons", page: "rudderstack.html", reset: "analytics.reset(true)", deaf: true, offline: true,
		options: ", useBeacon: true, beaconQueueOptions: {flushQueueInterval: 500}",
	},
	{name: "RudderStack v2", page: "rudderstack-v2.html", reset: "analytics.reset(true)"},
	{
		name: "RudderStack v2, beacons", page: "rudderstack-v2.html", reset: "analytics.reset(true)", alike: true, deaf: true, offline: true,
		options: ", useBeacon: true, beaconQueueOptions: {flushQueueInterval: 500}",
	},
	{name: "Segment", page: "segment.html", reset: "analytics.reset()", first: true, hasty: true},
	{
		name: "Segment, batches", page: "segment.html", reset: "analytics.reset()", hasty: true,
		options: `, {integrations: {"Segment.io": {deliveryStrategy: {strategy: "batching", config: {size: 3, timeout: 500}}}}}`,
	},
	{name: "Segment's snippet", reset: "analytics.reset()", alike: true, hasty: true},
	{name: "Customer.io", page: "customerio.html", reset: "analytics.reset()", blind: true, hasty: true},
	{name: "Hightouch", page: "hightouch.html", reset: "analytics.reset()", blind: true, hasty: true},
}

// each runs a test with each SDK that it is about, all at once.
func each(t *testing.T, about func(sdk) bool, test func(*testing.T, sdk)) {
	for _, s := range sdks {
		if about(s) {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	}
}

// A site is a web site whose pages have an SDK that sends to a service, which is
// of another origin.
type site struct {
	*service

	url string
}

// newSite starts a site, and the service, at which the first try to send an event
// of a name meets an error.
func newSite(t *testing.T, s sdk, faults map[string]error) *site {
	t.Helper()
	npm(t)
	mux := http.NewServeMux()
	mux.Handle("GET /node_modules/", http.FileServer(http.Dir("node")))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	site := &site{url: strings.Replace(server.URL, "127.0.0.1", "localhost", 1)}
	site.service = newService(t, site.url, faults)
	address, err := url.Parse(site.URL)
	require.NoError(t, err)
	parameters := map[string]string{"Key": writeKey, "Collect": site.URL, "Host": address.Host, "Options": s.options}
	content := rendered(t, s.page, parameters)
	worker := rendered(t, "worker.js", parameters)
	mux.HandleFunc("GET /worker.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(worker))
	})
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!DOCTYPE html>\n<title>A page without an SDK</title>"))
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, err := w.Write([]byte("<!DOCTYPE html>\n<html lang=\"en\">\n<title>A shop</title>\n" + content))
		assert.NoError(t, err)
	})
	return site
}

// rendered returns a page of testdata, or Segment's snippet.
func rendered(t *testing.T, page string, parameters map[string]string) string {
	t.Helper()
	if page == "" {
		command := exec.CommandContext(t.Context(), "node", "snippet.js", writeKey, parameters["Host"])
		command.Dir = "node"
		snippet, err := command.Output()
		require.NoError(t, err)
		return string(snippet)
	}
	content, err := template.ParseFiles("testdata/" + page)
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, content.Execute(&b, parameters))
	return b.String()
}

// The table in SDKS.md is of the versions that are driven here.
func TestTableIsOfTheseVersions(t *testing.T) {
	table, err := os.ReadFile("../SDKS.md")
	require.NoError(t, err)
	var pinned struct{ Dependencies map[string]string }
	text, err := os.ReadFile("node/package.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &pinned))
	require.NotEmpty(t, pinned.Dependencies)
	for name, version := range pinned.Dependencies {
		assert.Contains(t, string(table), version, name)
	}
}
