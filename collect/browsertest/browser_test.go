package browsertest

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

// deadline is for what happens in some seconds, on a machine with much to do.
const deadline = 2 * time.Minute

// chromium is the browser of all tests, or nil where none is installed.
var chromium context.Context

func TestMain(m *testing.M) {
	trial.Parallel(6) // more, and a page that is left may have no time to send what it was told last
	flag.Parse()
	program := findChromium()
	if program == "" {
		goleak.VerifyTestMain(m)
		return
	}
	dir, err := os.MkdirTemp("", "collect-chromium-")
	if err != nil {
		log.Fatal(err)
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program), chromedp.UserDataDir(dir), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		// No name leads anywhere but to this machine.
		chromedp.Flag("host-resolver-rules", "MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
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
		if err := os.RemoveAll(dir); err != nil {
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

// A visitor is one profile of the browser, which nobody has used before. What a
// page stores in it is there for the next page.
type visitor struct {
	context.Context

	// mayBeKept says that the browser may keep answers from its pages.
	mayBeKept bool
}

func newVisitor(t *testing.T) visitor {
	t.Helper()
	if chromium == nil {
		t.Skip("no Chromium was found; Debian has it: apt-get install chromium-headless-shell")
	}
	limited, cancelLimit := context.WithTimeout(chromium, 5*time.Minute)
	ctx, cancel := chromedp.NewContext(limited, chromedp.WithNewBrowserContext())
	t.Cleanup(func() {
		cancel()
		cancelLimit()
	})
	require.NoError(t, chromedp.Do(ctx))
	return visitor{Context: ctx}
}

// A tab is one of a visitor's.
type tab struct {
	context.Context

	close func()
}

// open opens a page in a tab of its own, which is closed when the test ends, or
// before.
func (v visitor) open(t *testing.T, address string) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(v)
	var mu sync.Mutex
	var blocked []string // what the browser kept the page from asking or reading
	t.Cleanup(func() {
		cancel()
		mu.Lock()
		defer mu.Unlock()
		assert.True(t, v.mayBeKept || len(blocked) == 0, "%v", blocked)
	})
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*cdplog.EventEntryAdded); ok && strings.Contains(e.Entry.Text, "CORS") {
			mu.Lock()
			defer mu.Unlock()
			blocked = append(blocked, e.Entry.Text)
		}
	}))
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(address)))
	return tab{ctx, cancel}
}

// evaluate returns what a JavaScript expression is in the page.
func evaluate[V any](t *testing.T, b tab, expression string) V {
	t.Helper()
	value, err := chromedp.Run(b.Context, chromedp.Evaluate[V](expression))
	require.NoError(t, err)
	return value
}

// run evaluates JavaScript in the page, and waits for the promise that it is.
func (b tab) run(t *testing.T, script string) {
	t.Helper()
	_, err := chromedp.Run(b.Context, chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
}

// offline takes the network from a page, which can tell.
func (b tab) offline(t *testing.T) {
	t.Helper()
	_, err := chromedp.Call(b.Context, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: true, DownloadThroughput: -1, UploadThroughput: -1}},
	})
	require.NoError(t, err)
	_, err = chromedp.Call(b.Context, network.OverrideNetworkState, network.OverrideNetworkStateParams{
		Offline: true, DownloadThroughput: -1, UploadThroughput: -1,
	})
	require.NoError(t, err)
}

// install installs the SDKs that node/package-lock.json names, once for all tests.
var install = sync.OnceValue(func() error {
	want, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		return err
	}
	if got, err := os.ReadFile("node/node_modules/.of"); err == nil && string(got) == string(want) {
		return nil
	}
	command := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	command.Dir = "node"
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %s", err, output)
	}
	return os.WriteFile("node/node_modules/.of", want, 0o600)
})

func npm(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("needs npm: install Debian's package npm, or see https://nodejs.org")
	}
	require.NoError(t, install())
}
