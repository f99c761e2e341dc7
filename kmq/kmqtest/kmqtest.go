// Package kmqtest helps to test, in a real browser, pages that package kmq
// wrote: it has a stand-in for Kissmetrics' own script.
package kmqtest

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
)

//go:embed script.js
var script string

// Handler serves a stand-in for the scripts that kmq.Snippet loads. Mount it
// where SnippetOptions.ScriptURL points to:
//
//	mux.Handle("/kissmetrics/", kmqtest.Handler(server.URL)) // ScriptURL: "/kissmetrics"
//
// The script does what Kissmetrics' is documented to do with the queue of its
// page: it keeps the identities of the visitor in the cookies km_ai and km_ni,
// and sends every command to the tracking server at trackingURL, such as a
// kissmetricstest.Server, as a picture. (A Content-Security-Policy must allow
// that server in its img-src.) It does no more: in particular it records none of
// the events that Kissmetrics' script records by itself.
func Handler(trackingURL string) http.Handler {
	quoted, _ := json.Marshal(strings.TrimSuffix(trackingURL, "/")) // a string cannot fail
	body := strings.Replace(script, `"{{server}}"`, string(quoted), 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case strings.HasSuffix(r.URL.Path, ".2.js"):
			_, _ = w.Write([]byte(body))
		case strings.HasSuffix(r.URL.Path, "/i.js"): // there is nothing to do for it
		default:
			http.NotFound(w, r)
		}
	})
}
