package main

import (
	"bufio"
	"context"
	"flag"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The program prints where it is, and ends in peace when it is interrupted.
// That it works in a browser is tested in kmq/browsertest.
func TestRun(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, nil, writer) }()

	line, err := bufio.NewReader(reader).ReadString('\n')
	require.NoError(t, err)
	address := regexp.MustCompile(`^The shop is open: (http://127\.0\.0\.1:\d+/)\n$`).FindStringSubmatch(line)
	require.NotNil(t, address, line)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(address[1])
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode)

	interrupt()
	assert.NoError(t, <-done)
}

func TestUsage(t *testing.T) {
	var b strings.Builder
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &b), flag.ErrHelp)
	assert.Contains(t, b.String(), "-addr address")
	require.ErrorContains(t, run(t.Context(), []string{"-addr", "nowhere"}, io.Discard), "nowhere")
}

// A browser that runs no script.
type browser struct {
	*http.Client
	shop     string
	tracking *kissmetricstest.Server
}

func newBrowser(t *testing.T) browser {
	t.Helper()
	tracking := kissmetricstest.NewServer(t)
	ear, err := newEar(tracking.URL)
	require.NoError(t, err)
	t.Cleanup(ear.close)
	client, err := kissmetrics.New(kissmetrics.WithAPIKey(apiKey), kissmetrics.WithBaseURL(tracking.URL),
		kissmetrics.WithTransport(ear.roundTripper(byServer)))
	require.NoError(t, err)
	handler, err := newShop(client, tracking, ear)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	return browser{&http.Client{Transport: transport, Jar: jar}, server.URL, tracking}
}

// read returns the status and the text of an answer, and where it came from.
func read(t *testing.T, response *http.Response, err error) (status int, body, path string) {
	t.Helper()
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text), response.Request.URL.Path
}

func (b browser) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	response, err := b.Get(b.shop + path)
	status, body, _ = read(t, response, err)
	return status, body
}

func (b browser) post(t *testing.T, path string, form url.Values) (status int, body, at string) {
	t.Helper()
	response, err := b.PostForm(b.shop+path, form)
	return read(t, response, err)
}

// setCookies sets the cookies that Kissmetrics' script would.
func (b browser) setCookies(t *testing.T, cookies ...*http.Cookie) {
	t.Helper()
	u, err := url.Parse(b.shop)
	require.NoError(t, err)
	b.Jar.SetCookies(u, cookies)
}

func (b browser) cookies(t *testing.T) []*http.Cookie {
	t.Helper()
	u, err := url.Parse(b.shop)
	require.NoError(t, err)
	return b.Jar.Cookies(u)
}

func TestPages(t *testing.T) {
	b := newBrowser(t)
	for path, want := range map[string][]string{
		"/": {
			`["record","Viewed Shop page"]`, `["trackClick","story","Read Our Story"]`, "Swan kettle", "<svg", "Nothing of you yet",
			`<code>[ &#34;record&#34;, &#34;Viewed Shop page&#34; ]</code>`,
		},
		"/products/radio": {`["record","Product Viewed",{"price":89,"sku":"radio"}]`, "Kitchen radio"},
		"/signup":         {`["record","Viewed Sign up page"]`, `name="email"`, `href="/login"`},
		"/login":          {`["record","Viewed Log in page"]`, `name="email"`, `href="/signup"`},
		"/known":          {"Nothing of you yet"},
	} {
		response, err := b.Get(b.shop + path)
		status, body, _ := read(t, response, err)
		assert.Equal(t, http.StatusOK, status, path)
		for _, part := range append(want, `src="/kissmetrics/example-api-key.2.js"`, "</html>") {
			assert.Contains(t, body, part, path)
		}
		assert.NotRegexp(t, `(?i)<[^>]+ (on[a-z]+|style)=`, body, "no inline handlers and styles")
		assert.Regexp(t, `default-src 'none'; script-src 'nonce-[A-Z2-7]{26}'`, response.Header.Get("Content-Security-Policy"))
		assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	}
	for _, path := range []string{"/static/style.css", "/static/live.js", "/static/icon.svg", "/kissmetrics/i.js", "/panel/all", "/panel/latest"} {
		status, _ := b.get(t, path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	assert.Empty(t, b.tracking.Requests(), "pages are for the browser to tell of")
}

// What is not there says so on a page of the shop, with a way back.
func TestNothingThere(t *testing.T) {
	b := newBrowser(t)
	for _, path := range []string{"/products/none", "/orders/none", "/none", "/mail", "/panel/none", "/orders"} {
		status, body := b.get(t, path)
		assert.Equal(t, http.StatusNotFound, status, path)
		assert.Contains(t, body, `<a class="button" href="/">Back to the shop</a>`, path)
		assert.NotContains(t, body, "_kmq.push", path)
	}
}

// The server tells of the sign-up, of the visitor that the cookie names.
func TestSignUp(t *testing.T) {
	b := newBrowser(t)
	b.setCookies(t, &http.Cookie{Name: "km_ai", Value: "a%2Bb%3D"})

	status, body, at := b.post(t, "/signup", url.Values{"email": {"Ada <Ada@example.com>"}})

	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "/", at)
	assert.Contains(t, body, `_kmq.push(["identify","customer-1"]);`+"\n"+`_kmq.push(["record","Viewed Shop page"]);`)
	assert.Equal(t, []string{"a+b=", "customer-1"}, b.tracking.Identities("customer-1"))
	assert.Equal(t, "ada@example.com", b.tracking.Properties("a+b=")["email"])
	require.Len(t, b.tracking.Events("customer-1"), 1)
	assert.Equal(t, "Signed Up", b.tracking.Events("customer-1")[0].Name)
	assert.Empty(t, b.tracking.Ignored())

	b.setCookies(t, &http.Cookie{Name: "km_ni", Value: "customer-1"})
	_, body = b.get(t, "/known")
	assert.NotContains(t, body, "identify", "the script knows already")
	for _, part := range []string{"2 identities", "<code>a&#43;b=</code>", "Signed Up", "ada@example.com", `<span class="by server">server</span>`} {
		assert.Contains(t, body, part)
	}
}

// Nothing of a customer is left after the log-out, though the script's cookies
// still name one; and who logs in again is the same customer.
func TestLogOutAndIn(t *testing.T) {
	b := newBrowser(t)
	b.setCookies(t, &http.Cookie{Name: "km_ai", Value: "k7n"})
	b.post(t, "/signup", url.Values{"email": {"ada@example.com"}})
	b.setCookies(t, &http.Cookie{Name: "km_ni", Value: "customer-1"})
	_, _, order := b.post(t, "/orders", url.Values{"sku": {"mug"}, "quantity": {"1"}})

	left := b.cookies(t)
	_, body, _ := b.post(t, "/logout", nil)

	assert.Contains(t, body, `_kmq.push(["clearIdentity"]);`)
	b.setCookies(t, left...) // a copy of the session's cookie opens nothing
	for _, path := range []string{"/", "/known", "/panel/latest", "/panel/all", order} {
		_, body := b.get(t, path)
		for _, trace := range []string{"customer-1", "k7n", "ada@example.com", "Log out", "Inbox"} {
			assert.NotContains(t, body, trace, path)
		}
	}
	status, body := b.get(t, order)
	assert.Equal(t, http.StatusNotFound, status)
	assert.NotContains(t, body, "Order Completed", "or it would count as the next visitor's")

	b.setCookies(t, &http.Cookie{Name: "km_ni", MaxAge: -1}, &http.Cookie{Name: "km_ai", Value: "next"})
	status, body, _ = b.post(t, "/login", url.Values{"email": {" ADA@example.com"}})
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `_kmq.push(["identify","customer-1"]);`)
	assert.Contains(t, b.tracking.Identities("customer-1"), "next", "who looked around before the log-in")
	require.Len(t, b.tracking.Events("customer-1"), 2)
	assert.Equal(t, "Logged In", b.tracking.Events("customer-1")[1].Name)
}

// Two customers of one browser stay two, for an alias would be for good.
func TestNextCustomer(t *testing.T) {
	b := newBrowser(t)
	b.post(t, "/signup", url.Values{"email": {"ada@example.com"}})
	_, _, order := b.post(t, "/orders", url.Values{"sku": {"mug"}, "quantity": {"1"}})
	b.setCookies(t, &http.Cookie{Name: "km_ai", Value: "customer-1"}, &http.Cookie{Name: "km_ni", Value: "customer-1"})

	b.post(t, "/signup", url.Values{"email": {"bob@example.com"}})

	assert.Equal(t, []string{"customer-1"}, b.tracking.Identities("customer-1"))
	assert.Equal(t, []string{"customer-2"}, b.tracking.Identities("customer-2"))
	status, _ := b.get(t, order)
	assert.Equal(t, http.StatusNotFound, status, "the order of somebody else")
}

func TestSignUpRefuses(t *testing.T) {
	b := newBrowser(t)
	for _, email := range []string{"", "ada", "a@" + strings.Repeat("x", 200)} {
		status, body, _ := b.post(t, "/signup", url.Values{"email": {email}})
		assert.Equal(t, http.StatusBadRequest, status, email)
		assert.Contains(t, body, "That is not an e-mail address.")
		assert.Contains(t, body, "</html>")
	}
	status, body, _ := b.post(t, "/login", url.Values{"email": {"ada@example.com"}})
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, body, "There is no customer with that address yet.")
	assert.Empty(t, b.tracking.Requests())

	b.post(t, "/signup", url.Values{"email": {"ada@example.com"}})
	told := len(b.tracking.Requests())
	status, body, _ = b.post(t, "/signup", url.Values{"email": {"ADA@example.com"}})
	assert.Equal(t, http.StatusConflict, status)
	assert.Contains(t, body, `action="/login"`)
	assert.Contains(t, body, `value="ADA@example.com"`)
	assert.Len(t, b.tracking.Requests(), told)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.shop+"/signup", strings.NewReader("email=ada@example.com"))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://elsewhere.example")
	response, err := b.Do(request)
	status, body, _ = read(t, response, err)
	assert.Equal(t, http.StatusForbidden, status, "a form of another site")
	assert.Contains(t, body, "Back to the shop")
}

// An order has its own time, so that its page can be loaded again.
func TestOrder(t *testing.T) {
	b := newBrowser(t)
	status, body, at := b.post(t, "/orders", url.Values{"sku": {"mug"}, "quantity": {"2"}})
	require.Equal(t, http.StatusOK, status)
	lines := regexp.MustCompile(`(?m)^_kmq\.push\(.*$`)
	commands := lines.FindAllString(body, -1)
	require.Len(t, commands, 2)
	assert.Regexp(t, `\["record","Order Completed",{"Billing Amount":36,"order_id":"[a-z2-7]{8}","revenue":36,"_t":\d+,"_d":1}\]`, commands[0])
	assert.Regexp(t, `\["set",{"price":18,"quantity":2,"sku":"mug","_t":\d+,"_d":1}\]`, commands[1])

	_, again := b.get(t, at)
	assert.Equal(t, commands, lines.FindAllString(again, -1))

	for _, form := range []url.Values{
		nil, {"sku": {"none"}, "quantity": {"1"}}, {"sku": {"mug"}, "quantity": {"-1"}}, {"sku": {"mug"}, "quantity": {"4"}}, {"sku": {"mug"}, "quantity": {"x"}},
	} {
		status, body, _ := b.post(t, "/orders", form)
		assert.Equal(t, http.StatusBadRequest, status, form)
		assert.Contains(t, body, "Back to the shop", form)
	}
}

// The letter of a customer has a picture, by which Kissmetrics hears of it.
func TestMail(t *testing.T) {
	b := newBrowser(t)
	b.post(t, "/signup", url.Values{"email": {"ada@example.com"}})
	_, body := b.get(t, "/mail")
	picture := regexp.MustCompile(`<img src="http://[^/]+(/heard/mail/e\?[^"]+)"`).FindStringSubmatch(body)
	require.NotNil(t, picture)

	status, _ := b.get(t, html.UnescapeString(picture[1]))

	assert.Equal(t, http.StatusOK, status)
	_, body = b.get(t, "/known")
	assert.Regexp(t, `<span class="by e-mail">e-mail</span></td><td>Viewed E-mail</td>`, body)
	assert.Equal(t, "welcome", b.tracking.Properties("customer-1")["Campaign"])
}

// What the page tells is marked as the page's, its products stand apart with
// their times, and what was said twice is there once.
func TestWhatIsKnown(t *testing.T) {
	b := newBrowser(t)
	b.setCookies(t, &http.Cookie{Name: "km_ai", Value: "k7n"})
	for _, told := range []string{
		"e?_k=k&_p=k7n&_n=Order+Completed&revenue=18&_t=1772452800&_d=1",
		"e?_k=k&_p=k7n&_n=Order+Completed&revenue=18&_t=1772452800&_d=1",
		"s?_k=k&_p=k7n&sku=mug&price=18&quantity=1&_t=1772452801&_d=1",
		"e?_k=k&_p=k7n&_n=Product+Viewed&sku=radio&_t=1772452900&_d=1",
		"e?_k=k&_p=other&_n=Never&_t=1772452900&_d=1",
	} {
		status, _ := b.get(t, "/heard/page/"+told)
		require.Equal(t, http.StatusOK, status)
	}
	_, body := b.get(t, "/panel/all")
	assert.Equal(t, 1, strings.Count(body, "<td>Order Completed</td><td><code>revenue = 18</code>"))
	assert.Contains(t, body, `<span class="by page">page</span></td><td>mug</td><td>18</td><td>1</td>`)
	assert.Contains(t, body, `2 March 2026, 12:00:01 UTC`)
	assert.Contains(t, body, `<td>sku</td><td><code>radio</code></td><td>Product Viewed</td>`, "the latest, and what it came with")
	assert.Contains(t, body, `<code>mug</code> <time datetime="2026-03-02T12:00:01Z">12:00:01 UTC</time>`, "and what it was before")
	assert.NotContains(t, body, "Never", "of somebody else")
}
