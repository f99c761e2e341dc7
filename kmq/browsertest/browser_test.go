package browsertest

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/kmq"
	"github.com/kissmetrics-go/kissmetrics/kmq/kmqtest"
)

var (
	// chromium is the browser of all tests, or nil where none is installed.
	chromium context.Context
	// folder is of all tests, and gone after them.
	folder string
	// kissmetricsHosts is what the browser takes for Kissmetrics' own hosts.
	kissmetricsHosts *stage
)

func TestMain(m *testing.M) {
	trial.Parallel(8) // they mostly wait
	flag.Parse()
	program := findChromium()
	if program == "" {
		goleak.VerifyTestMain(m)
		return
	}
	var err error
	folder, err = os.MkdirTemp("", "kmq-chromium-")
	if err != nil {
		log.Fatal(err)
	}
	kissmetricsHosts = newStage()
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(folder, "profile")), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		// The names of Kissmetrics' hosts lead to this machine, and no others anywhere.
		chromedp.Flag("host-resolver-rules", "MAP *.kissmetrics.io:443 "+kissmetricsHosts.Listener.Addr().String()+", MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors", true))
	browser, cancelBrowser := chromedp.NewContext(allocator)
	if err := chromedp.Do(browser); err != nil {
		log.Fatalf("starting %s: %v", program, err)
	}
	chromium = browser
	goleak.VerifyTestMain(quitting{m, func() {
		if err := chromedp.Cancel(browser); err != nil { // waits for the process
			log.Print(err)
		}
		cancelBrowser()
		cancelAllocator()
		chromedp.FromContext(allocator).Allocator.Wait()
		kissmetricsHosts.Close()
		if err := os.RemoveAll(folder); err != nil {
			log.Print(err)
		}
	}})
}

// quitting runs the tests, and then what ends the browser.
type quitting struct {
	m    *testing.M
	quit func()
}

func (q quitting) Run() int {
	defer q.quit()
	return q.m.Run()
}

// findChromium returns the browser, or nothing where none is installed. One
// without windows needs a fifth of the time; -long takes the one that visitors
// have.
func findChromium() string {
	names := []string{"chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome"}
	if trial.Long() {
		names = slices.Concat(names[2:], names[:2])
	}
	for _, name := range names {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	return ""
}

// A tab is a page of a browser that nobody has used before.
type tab struct {
	context.Context
	mu       sync.Mutex
	problems []string
}

// newTab opens a tab that is closed when the test ends.
func newTab(t *testing.T) *tab {
	t.Helper()
	if chromium == nil {
		t.Skip("no Chromium was found; Debian has it: apt-get install chromium-headless-shell")
	}
	limited, cancelLimit := context.WithTimeout(chromium, 2*time.Minute)
	ctx, cancel := chromedp.NewContext(limited, chromedp.WithNewBrowserContext())
	t.Cleanup(func() {
		cancel()
		cancelLimit()
	})
	tab := &tab{Context: ctx}
	require.NoError(t, chromedp.Listen(ctx, tab.listen))
	return tab
}

// listen notes all that the console of the page would show.
func (tab *tab) listen(event any) {
	var problem string
	switch e := event.(type) {
	case *cdplog.EventEntryAdded:
		problem = fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		problem = "console." + string(e.Type)
		for _, argument := range e.Args {
			problem += " " + string(argument.Value)
		}
	default:
		return
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.problems = append(tab.problems, problem)
}

// console returns what the console shows.
func (tab *tab) console() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append([]string(nil), tab.problems...)
}

// open loads a page, with all that it loads in turn.
func (tab *tab) open(t *testing.T, address string) {
	t.Helper()
	require.NoError(t, chromedp.Do(tab, chromedp.Navigate(address)))
}

// evaluate returns what a JavaScript expression is in the page.
func evaluate[V any](t *testing.T, tab *tab, expression string) V {
	t.Helper()
	value, err := chromedp.Run(tab, chromedp.Evaluate[V](expression))
	require.NoError(t, err)
	return value
}

// A content is what a page holds: what stands before the snippet, and what
// stands after it.
type content struct {
	before, after []kmq.Command
	html          template.HTML
	noSnippet     bool
	twice         bool // the scripts are loaded again at the end
	wrongNonce    bool
}

var page = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>A page</title>
{{.Before}}
{{.Snippet}}
</head>
<body>
{{.HTML}}
{{.After}}
{{if .Twice}}{{.Snippet}}{{end}}
</body>
</html>
`))

// A site is a web site, and the tracking server that its pages send to.
type site struct {
	*http.ServeMux
	url      string
	tracking *kissmetricstest.Server
}

func newSite(t *testing.T) *site {
	s := &site{ServeMux: http.NewServeMux(), tracking: kissmetricstest.NewServer(t)}
	s.Handle("GET /kissmetrics/", kmqtest.Handler(s.tracking.URL))
	server := httptest.NewServer(kmq.Middleware(s))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	return s
}

// page serves a page at a path, with a Content-Security-Policy that allows what
// is needed and nothing else.
func (s *site) page(t *testing.T, pattern string, serve func(*http.Request) content) {
	s.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := serve(r)
		nonce := rand.Text()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; img-src "+s.tracking.URL+
			"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")
		if c.wrongNonce {
			nonce = "stale"
		}
		before, err := kmq.Script(nonce, c.before...)
		assert.NoError(t, err)
		after, err := kmq.Script(nonce, c.after...)
		assert.NoError(t, err)
		var snippet template.HTML
		if !c.noSnippet {
			snippet, err = kmq.Snippet(kmq.SnippetOptions{APIKey: "test-api-key", Nonce: nonce, CommonURL: "/kissmetrics", ProductURL: "/kissmetrics"})
			assert.NoError(t, err)
		}
		assert.NoError(t, page.Execute(w, map[string]any{"Before": before, "Snippet": snippet, "After": after, "HTML": c.html, "Twice": c.twice}))
	})
}

// requests waits until the tracking server has had n requests, and returns them
// without _k, without _p where it is person, and without _t where it is the time
// of the sending.
func (s *site) requests(t *testing.T, n int, person string) []request {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.tracking.Requests()) >= n }, 20*time.Second, 10*time.Millisecond,
		"%d of %d requests arrived", len(s.tracking.Requests()), n)
	var requests []request
	for _, r := range s.tracking.Requests() {
		got := request{Path: r.Path, Params: map[string]string{}}
		for name, values := range r.Params {
			require.Len(t, values, 1, name)
			got.Params[name] = values[0]
		}
		require.Equal(t, "test-api-key", got.Params["_k"])
		delete(got.Params, "_k")
		if got.Params["_d"] == "" {
			delete(got.Params, "_t") // of the sending
		}
		if got.Params["_p"] == person {
			delete(got.Params, "_p")
		}
		requests = append(requests, got)
	}
	return requests
}

// A request is one of the tracking API.
type request struct {
	Path   string
	Params map[string]string
}

// anonymousID returns the identity that the script keeps in its cookie.
func anonymousID(t *testing.T, tab *tab) string {
	t.Helper()
	id := evaluate[string](t, tab, `decodeURIComponent(document.cookie.match(/km_ai=([^;]*)/)[1])`)
	require.NotEmpty(t, id)
	return id
}
