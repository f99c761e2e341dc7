package browsertest

import (
	"bufio"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var screenshot = flag.Bool("screenshot", false, "take the screenshot of examples/website")

// startWebsite starts examples/website, and returns its address.
func startWebsite(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "website")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./website")
	build.Dir = filepath.Join("..", "..", "examples")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	website := exec.Command(program)
	stdout, err := website.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, website.Start())
	t.Cleanup(func() {
		assert.NoError(t, website.Process.Signal(os.Interrupt))
		assert.NoError(t, website.Wait(), "it ends in peace")
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return "http" + strings.TrimSpace(line[strings.Index(line, "://"):])
}

// A visitor of examples/website looks at two things, signs up, buys one of them,
// and looks at what Kissmetrics knows of it all.
func TestWebsite(t *testing.T) {
	tab := newTab(t)
	shop := startWebsite(t)
	click := func(selector string) {
		t.Helper()
		_, err := chromedp.RunResponse(tab, chromedp.Click(selector))
		require.NoError(t, err)
	}
	pause := func() {
		if now := time.Now(); *screenshot { // whose times had better differ
			require.Eventually(t, func() bool { return time.Since(now) > 7*time.Second }, 20*time.Second, 100*time.Millisecond)
		}
	}
	require.NoError(t, chromedp.Do(tab, chromedp.EmulateViewport(1240, 740, chromedp.EmulateScale(1))))

	tab.open(t, shop)
	visitor := anonymousID(t, tab)
	pause()
	click(`a[href="/products/radio"]`)
	pause()
	tab.open(t, shop)
	click(`a[href="/products/mug"]`)
	pause()
	click(`a[href="/signup"]`)
	pause()
	require.NoError(t, chromedp.Do(tab, chromedp.SendKeys(`input[name="email"]`, "ada@example.com")))
	click(`main button`)
	pause()
	click(`a[href="/products/mug"]`)
	pause()
	click(`main button`)
	order := evaluate[string](t, tab, "location.href")
	tab.open(t, order) // loaded twice, an order is one order

	known := func(parts ...string) bool {
		tab.open(t, shop+"known")
		text := evaluate[string](t, tab, "document.body.innerText")
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return false
			}
		}
		return true
	}
	require.Eventually(t, func() bool {
		return known("2 identities", visitor, "customer-1", "email\tada@example.com", "Billing Amount\t18",
			"Viewed Shop page", "Viewed Sign up page", "sku = radio", "Signed Up", "Order Completed")
	}, 20*time.Second, 10*time.Millisecond)
	assert.Equal(t, 1, evaluate[int](t, tab, `document.body.innerText.split("Order Completed").length - 1`))

	tab.open(t, shop)
	assert.Contains(t, evaluate[string](t, tab, `document.querySelector("aside").innerText`), "Order Completed")
	if *screenshot {
		picture, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join("..", "..", "examples", "website", "screenshot.png"), picture, 0o644))
	}

	click(`header form button`)
	require.NotEqual(t, visitor, anonymousID(t, tab), "who logs out is somebody new")
	assert.False(t, known("customer-1"))
	assert.Empty(t, tab.console())
}
