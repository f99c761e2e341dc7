// Package kmqtest helps to test, in a real browser, pages that package kmq
// wrote: it has a stand-in for Kissmetrics' own script.
package kmqtest

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"path"
	"strings"
)

//go:embed script.js
var script string

// Handler serves a stand-in for the two scripts that kmq.Snippet loads. Mount
// it where the snippet's options point to:
//
//	mux.Handle("GET /kissmetrics/", kmqtest.Handler(server.URL)) // CommonURL and ProductURL: "/kissmetrics"
//
// The script sends to the tracking server at trackingURL, such as a
// kissmetricstest.Server. It sends pictures, so a Content-Security-Policy must
// allow that server in its img-src. It does these things as Kissmetrics' script
// is documented to do them:
//
//   - The queue is drained once the document has been parsed, and once only,
//     however often the script is loaded. A function in it is called in its
//     place. A command that is not known is passed over.
//   - The cookies km_ai and km_ni keep the visitor's anonymous and named
//     identities for 5 years
//     (https://oldsupport.kissmetrics.com/apis/javascript, "Cookies").
//   - identify makes an anonymous visitor and the given identity one person.
//     Where the visitor is identified already, no two people become one
//     (https://support.kissmetrics.io/docs/multiple-people-on-the-same-browser),
//     and km_ai takes the named identity too (see kmq.Identity). identify of null
//     is clearIdentity.
//   - clearIdentity does nothing for an anonymous visitor. Any other visitor gets
//     a new anonymous identity
//     (https://support.kissmetrics.io/reference/identify-main).
//   - The function that may follow the properties of set and record is called
//     once they have been sent (the same page).
//   - trackClick, trackSubmit and trackClickOnOutboundLink record an event of the
//     elements that are there
//     (https://oldsupport.kissmetrics.com/apis/javascript, "API Functions"), and
//     so does trackSubmitOnOutboundLink. Those for outbound links wait 250
//     milliseconds before they let the browser go on.
//   - null is sent as an empty value, a list with commas between its elements. An
//     object among the properties is left out.
//   - The API key is that of the script's own name, <API key>.2.js, as each
//     product has a script of its own.
//   - Every request has a time of sending, _t without _d, or a browser would ask
//     once only for two equal pictures.
//   - window.KM has a function for each command, and KM.i, which returns the
//     visitor's identity.
//
// It does no more. In particular it records none of the events that Kissmetrics'
// script records by itself, reads no fields of a form, and runs no A/B tests.
func Handler(trackingURL string) http.Handler {
	server := strings.TrimSuffix(trackingURL, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		file := path.Base(r.URL.Path)
		if key, ok := strings.CutSuffix(file, ".2.js"); ok {
			_, _ = strings.NewReplacer(`"{{server}}"`, quoted(server), `"{{key}}"`, quoted(key)).WriteString(w, script)
			return
		}
		if file != "i.js" { // there is nothing to do for that one
			http.NotFound(w, r)
		}
	})
}

// quoted returns a text as JavaScript.
func quoted(s string) string {
	quoted, _ := json.Marshal(s) // a string cannot fail
	return string(quoted)
}
