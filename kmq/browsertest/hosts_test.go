package browsertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
	"github.com/kissmetrics-go/kissmetrics/kmq/kmqtest"
)

// A stage stands in for Kissmetrics' hosts, whose names the browser of the
// tests resolves to it: i. and scripts., which have the scripts, and trc., to
// which these track.
type stage struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*url.URL
}

func newStage() *stage {
	s := &stage{}
	scripts := kmqtest.Handler("https://trc.kissmetrics.io")
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, &url.URL{Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery})
		s.mu.Unlock()
		if r.Host == "i.kissmetrics.io" || r.Host == "scripts.kissmetrics.io" {
			scripts.ServeHTTP(w, r)
		}
	}))
	return s
}

// was reports whether the stage was asked for a path of a host, and for the
// event of that name where there is one.
func (s *stage) was(askedFor, event string) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.ContainsFunc(s.asked, func(u *url.URL) bool {
			return u.Host+u.Path == askedFor && u.Query().Get("_n") == event
		})
	}
}

// The documented Content-Security-Policy, and no word more, is enough for a
// snippet with nothing but a key: the scripts come from Kissmetrics' own hosts,
// and track to one that is named nowhere on the page.
func TestDocumentedPolicyIsEnough(t *testing.T) {
	t.Parallel()
	tab := newTab(t)
	const nonce = "cm9zZWJ1ZA=="
	script, err := kmq.Script(nonce, commands(t, kissmetrics.Page{Name: "Prices"})...)
	require.NoError(t, err)
	snippet, err := kmq.Snippet(kmq.SnippetOptions{APIKey: "test-api-key", Nonce: nonce})
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"' 'strict-dynamic'; "+
			"img-src "+kmq.Hosts+"; connect-src "+kmq.Hosts)
		_, _ = fmt.Fprint(w, "<!DOCTYPE html>\n<title>Prices</title>\n", script, snippet)
	}))
	t.Cleanup(server.Close)

	tab.open(t, server.URL)

	for askedFor, event := range map[string]string{
		"i.kissmetrics.io/i.js":                    "",
		"scripts.kissmetrics.io/test-api-key.2.js": "",
		"trc.kissmetrics.io/e":                     "Viewed Prices page",
	} {
		assert.Eventually(t, kissmetricsHosts.was(askedFor, event), 20*time.Second, 10*time.Millisecond, askedFor)
	}
	fetched := `fetch("https://trc.kissmetrics.io/e?_n=Fetched", {mode: "no-cors"}).then(() => "sent", String)`
	sent, err := chromedp.Run(tab, chromedp.Evaluate[string](fetched, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	assert.Equal(t, "sent", sent, "a script may use requests instead of pictures")
	assert.Empty(t, tab.console())
}
