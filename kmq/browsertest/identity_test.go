package browsertest

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

// An anonymous visitor looks at a page and signs up. The page is told by the
// browser, and the sign-up by the program: both of one person.
func TestVisitorSignsUp(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(site.tracking.URL))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(t.Context())) })
	visitors := make(chan kmq.Visitor, 10)

	site.page(t, "GET /{$}", func(r *http.Request) content {
		visitors <- kmq.FromContext(r.Context())
		return content{
			before: commands(t, kissmetrics.Page{Name: "home"}),
			html:   `<form method="post" action="/signup"><button>Sign up</button></form>`,
		}
	})
	site.page(t, "POST /signup", func(r *http.Request) content {
		visitor := kmq.FromContext(r.Context())
		visitors <- visitor
		if alias, ok := visitor.Alias("user-1"); assert.True(t, ok) {
			assert.NoError(t, client.Alias(r.Context(), alias))
		}
		assert.NoError(t, client.Track(r.Context(), kissmetrics.Track{UserID: "user-1", Event: "Signed Up"}))
		return content{before: commands(t, kissmetrics.Identify{UserID: "user-1", Traits: kissmetrics.Properties{"plan": "free"}})}
	})
	site.page(t, "GET /logout", func(*http.Request) content {
		return content{before: append([]kmq.Command{{Kind: kmq.KindClearIdentity}}, commands(t, kissmetrics.Track{Event: "Logged Out"})...)}
	})

	tab.open(t, site.url+"/")
	first := anonymousID(t, tab)
	assert.Equal(t, kmq.Visitor{}, <-visitors, "at the first request nobody is known")

	_, err = chromedp.RunResponse(tab, chromedp.Click("button"))
	require.NoError(t, err)
	assert.Equal(t, kmq.Visitor{AnonymousID: first}, <-visitors, "the cookie of the script")

	tab.open(t, site.url+"/")
	assert.Equal(t, kmq.Visitor{UserID: "user-1", AnonymousID: first}, <-visitors)

	known := func() bool {
		return len(site.tracking.Events("user-1")) == 3 && site.tracking.Properties("user-1")["plan"] == "free"
	}
	require.Eventually(t, known, 20*time.Second, 10*time.Millisecond)
	events := site.tracking.Events("user-1")
	names := []string{events[0].Name, events[1].Name, events[2].Name}
	slices.Sort(names) // they may share a second
	assert.Equal(t, []string{"Signed Up", "Viewed home page", "Viewed home page"}, names)
	people := []string{first, "user-1"}
	slices.Sort(people)
	assert.Equal(t, people, site.tracking.Identities("user-1"), "one person")

	tab.open(t, site.url+"/logout")
	second := anonymousID(t, tab)
	assert.NotEqual(t, first, second)
	require.Eventually(t, func() bool { return len(site.tracking.Events(second)) == 1 }, 20*time.Second, 10*time.Millisecond)
	assert.Equal(t, []string{second}, site.tracking.Identities(second), "somebody else")
	assert.Len(t, site.tracking.Events("user-1"), 3)
	assert.Empty(t, site.tracking.Ignored())
	assert.Empty(t, tab.console())
}
