package collect_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func identify(user, anonymous string) string {
	return `{"type":"identify","userId":"` + user + `","anonymousId":"` + anonymous + `","traits":{"a":1},` + at + `}`
}

func withAliases(o kissmetrics.TransformOptions) collect.Option {
	o.AliasOnIdentify = true
	return collect.WithTransform(o)
}

// RudderStack's SDKs for browsers keep the anonymous identity at reset, so that the
// next person who logs in has the one of the first.
func TestTwoPeopleOfOneBrowserAreNotJoined(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, err)
	defer sender.CloseIdleConnections()
	var r receiver
	r.with(t, sender, withAliases(kissmetrics.TransformOptions{}))
	assert.Equal(t, `{"success":true}`, r.do(t, "/v1/batch", batch(identify("u1", "browser"))).text)
	a := r.do(t, "/v1/batch", batch(identify("u2", "browser")))
	assert.True(t, *a.body.Success)
	assert.ElementsMatch(t, []string{"u1", "browser"}, server.Identities("u1"))
	assert.Equal(t, []string{"u2"}, server.Identities("u2"), "its traits are known all the same")
	assert.Equal(t, []kissmetrics.Adjustment{{Field: "anonymousId", Kind: kissmetrics.AdjustedAlias}}, r.results[1].Adjustments)
	assert.Equal(t, "anonymousId", a.body.Adjusted[0].Adjustments[0].Field)
}

func TestWhichIdentifiesAreAliased(t *testing.T) {
	r := newReceiver(t, withAliases(kissmetrics.TransformOptions{}),
		collect.WithSources(collect.Source{Name: "other", WriteKeys: []string{"k"}, Transform: kissmetrics.TransformOptions{AliasOnIdentify: true}},
			collect.Source{Name: "plain", WriteKeys: []string{"p"}}))
	aliases := func(key, user, anonymous string) int {
		before := len(r.recorder.Records())
		a := r.do(t, "/v1/identify", identify(user, anonymous), func(r *http.Request) { r.SetBasicAuth(key, "") })
		assert.True(t, *a.body.Success, a.text)
		return len(r.recorder.Records()) - before - 1
	}
	assert.Equal(t, 1, aliases(writeKey, "u1", "a"))
	assert.Equal(t, 0, aliases(writeKey, "u2", "a"), "the visitor is somebody else")
	assert.Equal(t, 0, aliases(writeKey, "u3", "A"), "Kissmetrics tells no cases apart")
	assert.Equal(t, 1, aliases(writeKey, "U1", "a"), "the same person again")
	assert.Equal(t, 1, aliases(writeKey, "u2", "b"), "another browser of the person")
	assert.Equal(t, 0, aliases(writeKey, "u6", "u1"), "an identity that is known to be named is nobody's anonymous one")
	assert.Equal(t, 1, aliases("k", "u2", "a"), "another source has other people")
	assert.Equal(t, 0, aliases("p", "u4", "c"), "where no alias is wanted, none is")
	assert.Equal(t, 1, aliases(writeKey, "u5", "c"), "and nothing is remembered")
	assert.Equal(t, `{"success":true}`, r.do(t, "/v1/alias", `{"userId":"u2","previousId":"a"}`).text, "an alias says what it wants")
}

func TestStrictRefusesAnIdentifyThatWouldJoinTwo(t *testing.T) {
	r := newReceiver(t, withAliases(kissmetrics.TransformOptions{Strict: true}))
	r.do(t, "/v1/identify", identify("u1", "a"))
	a := r.do(t, "/v1/identify", identify("u2", "a"))
	assert.Equal(t, http.StatusBadRequest, a.status)
	assert.Contains(t, a.body.Error, "anonymousId")
	assert.Len(t, r.recorder.Records(), 2)
}
