package browsertest

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var screenshot = flag.Bool("screenshot", false, "take the screenshot of examples/website")

// buildWebsite builds examples/website, once for all tests, and returns its path.
var buildWebsite = sync.OnceValues(func() (string, error) {
	program := filepath.Join(folder, "website")
	build := exec.Command("go", "build", "-o", program, "./website")
	build.Dir = filepath.Join("..", "..", "examples")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

// startWebsite starts examples/website, and returns its address.
func startWebsite(t *testing.T) string {
	t.Helper()
	program, err := buildWebsite()
	require.NoError(t, err)
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

// A shopper is somebody in front of examples/website.
type shopper struct {
	*tab
	shop string
}

func newShopper(t *testing.T) shopper {
	s := shopper{newTab(t), startWebsite(t)}
	s.size(t, 1240, 760)
	return s
}

func (s shopper) size(t *testing.T, width, height int64) {
	t.Helper()
	require.NoError(t, chromedp.Do(s, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(1))))
}

// click clicks on what leads to another page.
func (s shopper) click(t *testing.T, selector string) {
	t.Helper()
	_, err := chromedp.RunResponse(s, chromedp.Click(selector))
	require.NoError(t, err)
}

// enter fills in the form for an e-mail address.
func (s shopper) enter(t *testing.T, path, email string) {
	t.Helper()
	s.open(t, s.shop+path)
	require.NoError(t, chromedp.Do(s, chromedp.SendKeys(`input[name="email"]`, email)))
	s.click(t, "main button")
}

// shows waits until the page shows all of these texts, without a new page.
func (s shopper) shows(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		require.Eventually(t, func() bool { return strings.Contains(s.text(t), text) }, 20*time.Second, 20*time.Millisecond, text)
	}
}

// hears waits until what Kissmetrics heard has all of these texts.
func (s shopper) hears(t *testing.T, texts ...string) {
	t.Helper()
	heard := func() string {
		return evaluate[string](t, s.tab, `(document.querySelector(".heard") || {innerText: ""}).innerText`)
	}
	for _, text := range texts {
		require.Eventually(t, func() bool { return strings.Contains(heard(), text) }, 20*time.Second, 20*time.Millisecond, text)
	}
}

// waitSecond waits for another second, in which nothing is a repeat.
func (s shopper) waitSecond(t *testing.T) {
	t.Helper()
	next := fmt.Sprintf("Date.now() / 1000 >= %d", evaluate[int](t, s.tab, "Math.floor(Date.now() / 1000)")+1)
	require.Eventually(t, func() bool { return evaluate[bool](t, s.tab, next) }, 20*time.Second, 20*time.Millisecond)
}

func (s shopper) text(t *testing.T) string {
	t.Helper()
	return evaluate[string](t, s.tab, "document.body.innerText")
}

// A visitor looks at things, signs up, buys one of them, and sees in the same
// moment what Kissmetrics hears of it, and from whom.
func TestWebsite(t *testing.T) {
	t.Parallel()
	s := newShopper(t)
	s.open(t, s.shop)
	visitor := anonymousID(t, s.tab)
	s.shows(t, `[ "record", "Viewed Shop page" ]`, visitor)
	s.hears(t, "page", "Viewed Shop page")
	run(t, s.tab, `document.getElementById("story").click()`)
	s.hears(t, "Read Our Story")

	s.open(t, s.shop+"products/radio")
	s.shows(t, `[ "record", "Product Viewed", { "price": 89, "sku": "radio" } ]`)
	s.hears(t, "Product Viewed", "sku = radio")
	s.enter(t, "signup", "ada@example.com")
	s.shows(t, `[ "identify", "customer-1" ]`)
	s.hears(t, "server", "Signed Up", "email = ada@example.com", visitor+" is customer-1")

	s.open(t, s.shop+"mail")
	s.hears(t, "e-mail", "Viewed E-mail")

	s.click(t, `a.name`)
	s.click(t, `a[href="/products/mug"]`)
	s.click(t, `main button`)
	s.shows(t, "Thank you!")
	s.hears(t, "Order Completed", "Billing Amount = 18", "a product of the order")
	s.open(t, evaluate[string](t, s.tab, "location.href")) // loaded twice, an order is one order
	s.hears(t, "Order Completed")

	s.open(t, s.shop+"known")
	s.shows(t, "2 identities", visitor, "customer-1", "ada@example.com", "Viewed Sign up page", "Products of orders")
	assert.Equal(t, 1, evaluate[int](t, s.tab, `document.querySelector(".events").innerText.split("Order Completed").length - 1`))
	assert.Contains(t, evaluate[string](t, s.tab, `document.querySelector(".products").innerText`), "mug\t18\t1")
	assert.Regexp(t, `\d\d:\d\d:\d\d [A-Z]{3}`, evaluate[string](t, s.tab, `document.querySelector("time").textContent`), "times have a zone")
	assert.Empty(t, s.console())
}

// Who logs out leaves nothing behind, and is the same customer after the next
// log-in.
func TestWebsiteLogOut(t *testing.T) {
	t.Parallel()
	s := newShopper(t)
	s.enter(t, "signup", "ada@example.com")
	s.shows(t, "customer-1")
	s.hears(t, "Signed Up")
	first := anonymousID(t, s.tab)

	s.click(t, `header form button`)

	s.shows(t, `[ "clearIdentity" ]`)
	s.hears(t, "Viewed Shop page") // of whoever is next
	for range 3 {
		text := s.text(t)
		assert.NotContains(t, text, "customer-1")
		assert.NotContains(t, text, "ada@example.com")
		assert.NotContains(t, text, "Signed Up")
		s.open(t, s.shop)
	}
	assert.NotEqual(t, first, anonymousID(t, s.tab), "who logs out is somebody new")

	s.enter(t, "signup", "ada@example.com")
	s.shows(t, "There is a customer with that address already.")
	s.click(t, "main button")
	s.shows(t, "customer-1")
	s.hears(t, "Logged In")
	s.open(t, s.shop+"known")
	s.shows(t, "Logged In", "Signed Up")
	require.Len(t, s.console(), 1)
	assert.Contains(t, s.console()[0], "409", "of the form that was refused")
}

// What is not there has a page with a way back, and so has a wrong quantity.
func TestWebsiteWaysBack(t *testing.T) {
	t.Parallel()
	s := newShopper(t)
	s.open(t, s.shop+"products/none")
	s.shows(t, "There is nothing here")
	s.click(t, "main a.button")
	assert.Equal(t, s.shop, evaluate[string](t, s.tab, "location.href"))

	s.open(t, s.shop+"products/mug")
	run(t, s.tab, `document.querySelector("option").value = "400"`)
	s.click(t, "main button")
	s.shows(t, "How many?")
	s.click(t, "main a.button")
	assert.Equal(t, s.shop, evaluate[string](t, s.tab, "location.href"))
}

// Nothing moves on log-in, and no page is wider than the screen.
func TestWebsiteLayout(t *testing.T) {
	t.Parallel()
	s := newShopper(t)
	top := func() float64 {
		return evaluate[float64](t, s.tab, `document.querySelector("h1").getBoundingClientRect().top`)
	}
	fits := func(path string) {
		t.Helper()
		s.open(t, s.shop+path)
		assert.LessOrEqual(t, evaluate[int](t, s.tab, "document.documentElement.scrollWidth - innerWidth"), 0, path)
	}
	s.open(t, s.shop)
	before := top()
	s.enter(t, "signup", "ada.with.a.long.name@a-long-name-of-a-host.example.com")
	assert.InDelta(t, before, top(), 0.5)
	s.open(t, s.shop+"products/mug")
	s.click(t, "main button")
	order := strings.TrimPrefix(evaluate[string](t, s.tab, "location.href"), s.shop)
	s.hears(t, "Order Completed")
	picture := evaluate[float64](t, s.tab, `document.querySelector(".hero").getBoundingClientRect().right`)
	words := evaluate[float64](t, s.tab, `document.querySelector("h1").getBoundingClientRect().left`)
	assert.Less(t, picture, words, "no void beside the picture")

	for _, width := range []int64{390, 700, 1240} {
		s.size(t, width, 844)
		for _, path := range []string{"", "products/mug", order, "signup", "mail", "known", "none"} {
			fits(path)
		}
	}
}

// The screenshot of examples/website is of a visitor who has bought something
// and signed up. It is taken with -screenshot, to be looked at and committed.
func TestWebsiteScreenshot(t *testing.T) {
	t.Parallel()
	s := newShopper(t)
	s.size(t, 1240, 940)
	s.open(t, s.shop+"products/mug")
	s.hears(t, "Product Viewed")
	s.waitSecond(t)
	s.click(t, "main button")
	s.hears(t, "Order Completed", "a product of the order")
	s.waitSecond(t)
	s.waitSecond(t) // that of the product
	s.enter(t, "signup", "ada@example.com")
	s.hears(t, "Signed Up", "email = ada@example.com", "Viewed Shop page")
	s.waitSecond(t)
	s.open(t, s.shop+"mail")
	s.hears(t, "Viewed E-mail", "Viewed Inbox page")
	s.waitSecond(t)
	s.open(t, s.shop)
	run(t, s.tab, `document.getElementById("story").click()`)
	s.hears(t, "Read Our Story", "Viewed Shop page")

	picture, err := chromedp.Run(s, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NotEmpty(t, picture)
	if *screenshot {
		require.NoError(t, os.WriteFile(filepath.Join("..", "..", "examples", "website", "screenshot.png"), picture, 0o644))
	}
}
