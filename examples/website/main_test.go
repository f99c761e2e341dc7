package main

import (
	"bufio"
	"context"
	"flag"
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
	client, err := kissmetrics.New(kissmetrics.WithAPIKey(apiKey), kissmetrics.WithBaseURL(tracking.URL))
	require.NoError(t, err)
	handler, err := newShop(client, tracking)
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

func TestPages(t *testing.T) {
	b := newBrowser(t)
	for path, want := range map[string][]string{
		"/":               {`["record","Viewed Shop page"]`, "Swan kettle", "<svg", "Nothing of you yet"},
		"/products/radio": {`["record","Product Viewed",{"price":89,"sku":"radio"}]`, "Kitchen radio"},
		"/signup":         {`["record","Viewed Sign up page"]`, `name="email"`},
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
	for _, path := range []string{"/static/style.css", "/static/icon.svg", "/kissmetrics/i.js"} {
		status, _ := b.get(t, path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	for _, path := range []string{"/products/none", "/orders/none", "/none"} {
		status, _ := b.get(t, path)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
	assert.Empty(t, b.tracking.Requests(), "pages are for the browser to tell of")
}

// The server tells of the sign-up, of the visitor that the cookie names.
func TestSignUp(t *testing.T) {
	b := newBrowser(t)
	b.setCookies(t, &http.Cookie{Name: "km_ai", Value: "a%2Bb%3D"})

	status, body, at := b.post(t, "/signup", url.Values{"email": {"Ada <ada@example.com>"}})

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
	for _, part := range []string{"2 identities", "<code>a&#43;b=</code>", "Signed Up", "ada@example.com"} {
		assert.Contains(t, body, part)
	}

	_, body, _ = b.post(t, "/logout", nil)
	assert.Contains(t, body, `_kmq.push(["clearIdentity"]);`)
	assert.NotContains(t, body, "Log out")
}

func TestSignUpRefuses(t *testing.T) {
	b := newBrowser(t)
	for _, email := range []string{"", "ada", "a@" + strings.Repeat("x", 200)} {
		status, _, _ := b.post(t, "/signup", url.Values{"email": {email}})
		assert.Equal(t, http.StatusBadRequest, status, email)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.shop+"/signup", strings.NewReader("email=ada@example.com"))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://elsewhere.example")
	response, err := b.Do(request)
	status, _, _ := read(t, response, err)
	assert.Equal(t, http.StatusForbidden, status, "a form of another site")
	assert.Empty(t, b.tracking.Requests())
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

	for _, form := range []url.Values{nil, {"sku": {"none"}, "quantity": {"1"}}, {"sku": {"mug"}, "quantity": {"-1"}}, {"sku": {"mug"}, "quantity": {"x"}}} {
		status, _, _ := b.post(t, "/orders", form)
		assert.Equal(t, http.StatusBadRequest, status, form)
	}
}
