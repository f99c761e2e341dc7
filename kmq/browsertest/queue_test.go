package browsertest

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

// These are what kmqtest.Handler documents of the queue.

type params = map[string]string

// record is the command that records an event.
func record(event string) kmq.Command { return kmq.Command{Kind: kmq.KindRecord, Event: event} }

// run evaluates JavaScript in the page.
func run(t *testing.T, tab *tab, script string) {
	t.Helper()
	evaluate[chromedp.Void](t, tab, script)
}

// ready waits until the script has taken over the queue.
func ready(t *testing.T, tab *tab) {
	t.Helper()
	require.Eventually(t, func() bool { return evaluate[bool](t, tab, "!Array.isArray(_kmq)") }, 20*time.Second, 10*time.Millisecond)
}

func cookie(t *testing.T, tab *tab, name string) string {
	t.Helper()
	return evaluate[string](t, tab, `decodeURIComponent((document.cookie.match(/(?:^|; )`+name+`=([^;]*)/) || ["", ""])[1])`)
}

func TestClearIdentityDoesNothingForTheAnonymous(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	clear := kmq.Command{Kind: kmq.KindClearIdentity}
	site.page(t, "/", func(*http.Request) content { return content{before: []kmq.Command{record("A"), clear, record("B")}} })

	tab.open(t, site.url)

	site.requests(t, 2, "")
	visitor := anonymousID(t, tab)
	assert.Len(t, site.tracking.Events(visitor), 2, "one visitor before and after")

	run(t, tab, `_kmq.push(["identify", "ada"]); _kmq.push(["clearIdentity"])`)
	next := anonymousID(t, tab)
	assert.NotEqual(t, visitor, next)
	assert.Empty(t, cookie(t, tab, "km_ni"))
	run(t, tab, `_kmq.push(["identify", "bob"]); _kmq.push(["identify", null])`)
	assert.NotEqual(t, next, anonymousID(t, tab), "identify of null is clearIdentity")
	assert.Empty(t, cookie(t, tab, "km_ni"))
	assert.Empty(t, tab.console())
}

func TestFunctionsAreCalledInTheirPlace(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/", func(*http.Request) content { return content{} })
	tab.open(t, site.url)

	order := evaluate[[]string](t, tab, `(() => {
		const order = [], id = KM.i();
		_kmq.push(() => order.push("function"));
		_kmq.push(["identify", "ada"]);
		_kmq.push(() => order.push(KM.i()));
		_kmq.push(["no such command", 1]);
		_kmq.push(["i"]);
		_kmq.push(() => order.push(typeof KM.record, "end"));
		return order;
	})()`)

	assert.Equal(t, []string{"function", "ada", "function", "end"}, order)
	assert.Empty(t, tab.console())
}

// What stands before the script is carried out in its order too, functions
// included.
func TestFunctionsBeforeTheScript(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		snippet, err := kmq.Snippet(kmq.SnippetOptions{APIKey: "test-api-key", CommonURL: "/kissmetrics", ProductURL: "/kissmetrics"})
		assert.NoError(t, err)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, err = w.Write([]byte(`<!DOCTYPE html><title>A page</title>` + string(snippet) + `<script>
			_kmq.push(["record", "A"]);
			_kmq.push(function () { window.seen = typeof KM; KM.record("B", {}, function () { window.done = (window.done || 0) + 1 }); });
			_kmq.push(["trackClick", "late", "Clicked"]);
			_kmq.push(["set", {"n": 1}, function () { window.done = (window.done || 0) + 1 }]);
			_kmq.push(["record", "C"]);
			</script><button id="late">x</button>`))
		assert.NoError(t, err)
	})

	tab.open(t, site.url)

	visitor := anonymousID(t, tab)
	want := []request{
		{"/e", params{"_n": "A"}}, {"/e", params{"_n": "B"}}, {"/s", params{"n": "1"}}, {"/e", params{"_n": "C"}},
	}
	assert.ElementsMatch(t, want, site.requests(t, len(want), visitor))
	assert.Equal(t, "object", evaluate[string](t, tab, "window.seen"))
	require.Eventually(t, func() bool { return evaluate[int](t, tab, "window.done || 0") == 2 }, 20*time.Second, 10*time.Millisecond)
	run(t, tab, `document.getElementById("late").click()`)
	want = append(want, request{"/e", params{"_n": "Clicked"}})
	assert.ElementsMatch(t, want, site.requests(t, len(want), visitor))
	assert.Empty(t, tab.console())
}

func TestElementsAreTracked(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	property := []kissmetrics.Property{{Name: "place", Value: "top"}}
	site.page(t, "/", func(*http.Request) content {
		return content{
			before: []kmq.Command{
				{Kind: kmq.KindTrackClick, Element: "invite", Event: "Invited", Properties: property},
				{Kind: kmq.KindTrackClick, Element: ".play", Event: "Played"},
				{Kind: kmq.KindTrackClick, Element: "absent", Event: "Never"},
				{Kind: kmq.KindTrackSubmit, Element: "#search", Event: "Searched"},
			},
			html: `<button id="invite">Invite</button><b class="play">1</b><b class="x play">2</b>
				<form id="search" action="/"><input name="q" value="mug"><button>Search</button></form>`,
		}
	})
	tab.open(t, site.url)
	visitor := anonymousID(t, tab)
	ready(t, tab)
	assert.Empty(t, site.tracking.Requests(), "nothing has happened yet")

	run(t, tab, `document.getElementById("invite").click(); document.querySelector(".x").click();
		addEventListener("submit", (e) => e.preventDefault()); document.querySelector("#search button").click()`)
	want := []request{
		{"/e", params{"_n": "Invited", "place": "top"}}, {"/e", params{"_n": "Played"}}, {"/e", params{"_n": "Searched"}},
	}
	assert.ElementsMatch(t, want, site.requests(t, len(want), visitor))
	assert.Empty(t, tab.console())
}

// A browser asks once for a picture that a page has twice. So what is said again
// in another second must be another picture.
func TestRepeatsArrive(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/", func(*http.Request) content {
		return content{
			before: []kmq.Command{{Kind: kmq.KindTrackClick, Element: ".play", Event: "Played"}},
			html:   `<b class="play">1</b><b class="play">2</b>`,
		}
	})
	tab.open(t, site.url)
	ready(t, tab)
	visitor := anonymousID(t, tab)
	for n := range 2 {
		run(t, tab, fmt.Sprintf(`document.querySelectorAll(".play")[%d].click()`, n))
		site.requests(t, n+1, visitor) // its second is that of its receipt
		second := evaluate[int](t, tab, "Math.floor(Date.now() / 1000)")
		next := fmt.Sprintf("Date.now() / 1000 >= %d", second+1)
		require.Eventually(t, func() bool { return evaluate[bool](t, tab, next) }, 20*time.Second, 10*time.Millisecond)
	}
	played := request{"/e", params{"_n": "Played"}}
	assert.Equal(t, []request{played, played}, site.requests(t, 2, visitor))
	assert.Len(t, site.tracking.Events(visitor), 2)
	assert.Empty(t, tab.console())
}

// What leaves the site is held back until the event is out, and then goes on.
func TestOutboundElementsAreTracked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind kmq.Kind
		html template.HTML
	}{
		"a link": {kmq.KindTrackClickOnOutboundLink, `<a id="out" href="/away?q=x"><b>Away</b></a>`},
		"a form": {kmq.KindTrackSubmitOnOutboundLink, `<form id="out" action="/away"><input name="q" value="x"><b><button>Go</button></b></form>`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tab, site := newTab(t), newSite(t)
			site.page(t, "/", func(*http.Request) content {
				return content{before: []kmq.Command{{Kind: test.kind, Element: "out", Event: "Left"}}, html: test.html}
			})
			site.page(t, "/away", func(r *http.Request) content {
				return content{html: template.HTML(template.HTMLEscapeString(r.FormValue("q"))), noSnippet: true}
			})
			tab.open(t, site.url)
			visitor := anonymousID(t, tab)
			ready(t, tab)

			_, err := chromedp.RunResponse(tab, chromedp.Click("#out b"))
			require.NoError(t, err)

			assert.Equal(t, "x", evaluate[string](t, tab, "document.body.innerText.trim()"))
			assert.Equal(t, []request{{"/e", params{"_n": "Left"}}}, site.requests(t, 1, visitor))
			assert.Empty(t, tab.console())
		})
	}
}

func TestScriptLoadedTwiceDrainsOnce(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/", func(*http.Request) content { return content{before: []kmq.Command{record("A")}, twice: true} })

	tab.open(t, site.url)
	run(t, tab, `_kmq.push(["record", "B"])`)

	want := []request{{"/e", params{"_n": "A"}}, {"/e", params{"_n": "B"}}}
	assert.ElementsMatch(t, want, site.requests(t, 2, anonymousID(t, tab)))
	assert.Equal(t, 2, evaluate[int](t, tab, `document.querySelectorAll('script[src$=".2.js"]').length`))
	assert.Empty(t, tab.console())
}

// RudderStack's integration loads the script of its own product, and sets no
// _kmk.
func TestKeyIsThatOfTheScript(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/", func(*http.Request) content { return content{before: []kmq.Command{record("A")}, noSnippet: true} })
	tab.open(t, site.url)
	assert.Equal(t, "undefined", evaluate[string](t, tab, "typeof _kmk"))
	script, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(site.url + "/kissmetrics/test-api-key.2.js")
	require.NoError(t, err)
	source, err := io.ReadAll(script.Body)
	require.NoError(t, errors.Join(err, script.Body.Close()))

	run(t, tab, string(source))

	assert.Equal(t, []request{{"/e", params{"_n": "A"}}}, site.requests(t, 1, anonymousID(t, tab)))
	assert.Empty(t, tab.console())
}

// identify moves the named identity into km_ai once somebody is identified, and
// makes no two named people one. What the program reads then is no anonymous
// identity.
func TestIdentifyAgain(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	visitors := make(chan kmq.Visitor, 10)
	site.page(t, "/{user}", func(r *http.Request) content {
		visitors <- kmq.FromContext(r.Context())
		return content{before: append(commands(t, kissmetrics.Identify{UserID: r.PathValue("user")}), record("Looked"))}
	})
	visit := func(user string) kmq.Visitor {
		t.Helper()
		tab.open(t, site.url+"/"+user)
		require.Eventually(t, func() bool { return cookie(t, tab, "km_ni") == user }, 20*time.Second, 10*time.Millisecond)
		return <-visitors
	}
	visit("bob@example.com")
	first := anonymousID(t, tab)
	assert.Equal(t, kmq.Visitor{UserID: "bob@example.com", AnonymousID: first}, visit("bob@example.com"), "kept at the first")
	require.Eventually(t, func() bool { return anonymousID(t, tab) == "bob@example.com" }, 20*time.Second, 10*time.Millisecond)
	assert.Equal(t, kmq.Visitor{UserID: "bob@example.com"}, visit("carol@example.com"))
	assert.Equal(t, kmq.Visitor{UserID: "carol@example.com"}, visit("carol@example.com"))

	site.requests(t, 5, "")
	assert.Len(t, site.tracking.Identities("bob@example.com"), 2, "Bob, and who he was before")
	assert.Equal(t, []string{"carol@example.com"}, site.tracking.Identities("carol@example.com"))
	assert.Empty(t, tab.console())
}

func TestValuesThatAreNoText(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/", func(*http.Request) content { return content{} })
	tab.open(t, site.url)

	run(t, tab, `_kmq.push(["set", {"n": null, "o": {"a": 1}, "l": [1, null, "x"], "f": () => 1, "b": false, "z": 0}])`)

	want := []request{{"/s", params{"n": "", "l": "1,,x", "b": "false", "z": "0"}}}
	assert.Equal(t, want, site.requests(t, 1, anonymousID(t, tab)))
	assert.Empty(t, tab.console())
}

// The cookies are for 5 years. Chromium keeps none for more than 400 days
// (RFC 6265bis), which is what it makes of any longer time.
func TestCookiesLast(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/", func(*http.Request) content { return content{before: commands(t, kissmetrics.Identify{UserID: "ada"})} })
	tab.open(t, site.url)
	require.Eventually(t, func() bool { return cookie(t, tab, "km_ni") == "ada" }, 20*time.Second, 10*time.Millisecond)

	kept, err := chromedp.Call(tab, network.GetCookies, network.GetCookiesParams{})
	require.NoError(t, err)
	require.Len(t, kept.Cookies, 2)
	for _, c := range kept.Cookies {
		left := time.Until(time.Unix(int64(c.Expires), 0))
		assert.Greater(t, left, 399*24*time.Hour, c.Name)
	}
}
