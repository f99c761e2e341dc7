package collect_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const shop = "https://shop.example"

// preflight makes a request the question of a browser whether a page may send.
func preflight(headers string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header.Del("Authorization")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", headers)
	}
}

func TestAnAllowedPageMaySendTheHeadersItAsksFor(t *testing.T) {
	r := newReceiver(t, collect.WithOrigins("https://other.example", shop))
	for asked, want := range map[string]string{
		"anonymousid,authorization,content-type,sentat":   "anonymousid, authorization, content-type, sentat",
		"authorization, x-retry-count":                    "authorization, x-retry-count",
		"rsa-retry-attempt,x-team":                        "rsa-retry-attempt, x-team",
		"":                                                "",
		"bad name,good,b@d,\"quoted\",ünicode":            "good",
		strings.Repeat("n", 65) + ",good":                 "good",
		strings.TrimSuffix(strings.Repeat("a,", 40), ","): strings.TrimSuffix(strings.Repeat("a, ", 32), ", "),
	} {
		a := r.do(t, "/v1/track", "", set("Origin", shop), preflight(asked))
		assert.Equal(t, http.StatusNoContent, a.status)
		assert.Equal(t, shop, a.header.Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "GET, POST", a.header.Get("Access-Control-Allow-Methods"))
		assert.Equal(t, want, a.header.Get("Access-Control-Allow-Headers"))
		assert.Equal(t, "true", a.header.Get("Access-Control-Allow-Credentials"))
		assert.Equal(t, []string{"Origin", "Access-Control-Request-Method, Access-Control-Request-Headers"}, a.header.Values("Vary"))
	}
}

func TestAPageMayReadEveryAnswer(t *testing.T) {
	r := newReceiver(t, collect.WithOrigins(shop))
	for name, test := range map[string]struct {
		path, body string
		status     int
	}{
		"a success":      {"/v1/track", track, 200},
		"a bad body":     {"/v1/batch", "x", 400},
		"no such path":   {"/v1/nothing", track, 404},
		"another prefix": {"/collect/v1/track", track, 404},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.do(t, test.path, test.body, set("Origin", shop))
			assert.Equal(t, test.status, a.status)
			assert.Equal(t, shop, a.header.Get("Access-Control-Allow-Origin"))
			assert.Equal(t, "Retry-After", a.header.Get("Access-Control-Expose-Headers"))
		})
	}
	a := r.do(t, "/any/path", "", set("Origin", shop), preflight("content-type"))
	assert.Equal(t, http.StatusNoContent, a.status, "so that the page sees the 404, and no riddle")
}

func TestAPageOfAnotherOriginIsNotAccepted(t *testing.T) {
	for _, origins := range [][]collect.Option{nil, {collect.WithOrigins(shop)}} {
		r := newReceiver(t, origins...)
		for _, origin := range []string{"https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null", "example.com"} {
			a := r.do(t, "/v1/track", track, set("Origin", origin), set("Content-Type", "text/plain"))
			assert.Equal(t, http.StatusForbidden, a.status, origin)
			assert.Equal(t, "origin_not_allowed", a.body.Code)
			assert.Empty(t, a.header.Get("Access-Control-Allow-Origin"), origin)
			a = r.do(t, "/v1/track", "", set("Origin", origin), preflight("content-type"))
			assert.Equal(t, http.StatusForbidden, a.status, origin)
			assert.Equal(t, "Origin", a.header.Get("Vary"))
		}
		assert.Empty(t, r.recorder.Records())
		// A browser names the origin of a page of this host too, and no SDK of a server
		// names any.
		assert.Equal(t, http.StatusOK, r.do(t, "/v1/track", track, set("Origin", "https://example.com")).status)
		assert.Equal(t, http.StatusOK, r.do(t, "/v1/track", track).status)
	}
}

// A proxy in front may know the handler by another name than the world.
func TestAPageOfThePublicHostIsNoOther(t *testing.T) {
	r := newReceiver(t, collect.WithPublicURL("https://www.shop.example/collect"))
	inner := func(r *http.Request) { r.Host = "10.0.0.7:8080" }
	for origin, want := range map[string]int{"https://www.shop.example": 200, "https://WWW.shop.example": 200, "http://10.0.0.7:8080": 200, "https://shop.example": 403} {
		assert.Equal(t, want, r.do(t, "/v1/track", track, set("Origin", origin), inner).status, origin)
	}
}

func TestEveryPageMaySendWithoutCookies(t *testing.T) {
	r := newReceiver(t, collect.WithOrigins("*"))
	for _, origin := range []string{shop, "null"} {
		a := r.do(t, "/v1/track", track, set("Origin", origin))
		assert.Equal(t, http.StatusOK, a.status)
		assert.Equal(t, origin, a.header.Get("Access-Control-Allow-Origin"))
		assert.Empty(t, a.header.Get("Access-Control-Allow-Credentials"))
	}
}

func TestPathsAsSDKsJoinThem(t *testing.T) {
	for path, want := range map[string]int{
		"/v1/batch/": 200, "//v1/batch": 200, "/v1//batch//": 200, "/v1/import/": 200, "/v1/b": 200, "/beacon/v1/batch": 200,
		"/batch": 404, "/b": 404, "/v2/batch": 404, "/v1": 404, "/v1/batch/x": 404, "/": 404,
	} {
		a := newReceiver(t).do(t, path, batch(track))
		assert.Equal(t, want, a.status, path)
	}
	short := newReceiver(t, collect.WithShortPaths())
	for path, body := range map[string]string{"/b": batch(track), "/t": track, "/track": track, "/t/": track} {
		assert.Equal(t, http.StatusOK, short.do(t, path, body).status, path)
	}
	assert.Equal(t, http.StatusNoContent, short.do(t, "/m", "{}").status)
}

func TestAPathWithAPrefixIsTold(t *testing.T) {
	var log strings.Builder
	r := newReceiver(t, collect.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for range 3 {
		r.do(t, "/collect/v1/batch", batch(track))
	}
	assert.Equal(t, 1, strings.Count(log.String(), "is there a prefix"), log.String())
	assert.Contains(t, log.String(), "…/batch")

	log.Reset()
	r = newReceiver(t, collect.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	r.do(t, "/projects/"+writeKey, "")
	assert.NotContains(t, log.String(), writeKey)
}

func TestWhatSDKsSayOfThemselvesIsDropped(t *testing.T) {
	r := newReceiver(t, collect.WithOrigins(shop))
	for _, path := range []string{"/v1/m", "/rsaMetrics"} {
		a := r.do(t, path, `{"series":[]}`, set("Origin", shop), func(r *http.Request) { r.Header.Del("Authorization") })
		assert.Equal(t, http.StatusNoContent, a.status)
		assert.Equal(t, shop, a.header.Get("Access-Control-Allow-Origin"))
	}
}

// get asks for a configuration.
func get(t *testing.T, r *receiver, path string, change ...func(*http.Request)) (int, map[string]any) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for _, f := range change {
		f(request)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	var body map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
	return w.Code, body
}

func TestSDKsAreConfigured(t *testing.T) {
	r := newReceiver(t, collect.WithPublicURL("https://collect.shop.example/x/"), collect.WithOrigins(shop))
	basic := func(r *http.Request) { r.SetBasicAuth(writeKey, "") }
	for path, change := range map[string]func(*http.Request){
		"/sourceConfig": basic, "/sourceConfig/?p=web&v=3.34.1": basic, "/sourceConfig?writeKey=" + writeKey: func(*http.Request) {},
	} {
		status, body := get(t, r, path, change)
		assert.Equal(t, http.StatusOK, status)
		source := body["source"].(map[string]any)
		assert.Equal(t, writeKey, source["writeKey"])
		assert.Equal(t, true, source["enabled"])
		for _, member := range []string{"id", "name", "workspaceId", "updatedAt", "config", "destinations", "connections"} {
			assert.Contains(t, source, member)
		}
	}
	for _, path := range []string{"/v1/projects/" + writeKey + "/settings", "/projects/" + writeKey + "/settings"} {
		status, body := get(t, r, path)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, map[string]any{"apiKey": writeKey, "apiHost": "collect.shop.example/x/v1", "protocol": "https"},
			body["integrations"].(map[string]any)["Segment.io"])
		assert.Equal(t, map[string]any{"sampleRate": 0.0}, body["metrics"])
	}
	for _, path := range []string{"/sourceConfig", "/v1/projects/wrong/settings"} {
		status, body := get(t, r, path)
		assert.Equal(t, http.StatusUnauthorized, status)
		assert.Equal(t, "invalid write key", body["message"])
	}
	status, _ := get(t, newReceiver(t), "/sourceConfig", basic)
	assert.Equal(t, http.StatusNotFound, status, "off by default")
	for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 405, http.MethodPut: 405} {
		status, _ := get(t, r, "/sourceConfig", basic, func(q *http.Request) { q.Method = method })
		assert.Equal(t, want, status, method)
	}
}

// SDKs write a key into paths and queries as it is.
func TestAKeyMayBeInBase64(t *testing.T) {
	const key = "ab/cd+ef/gh=="
	r := newReceiver(t, collect.WithWriteKeys(key), collect.WithPublicURL("https://collect.shop.example"))
	for _, path := range []string{
		"/v1/projects/" + key + "/settings", "/projects/" + key + "/settings/", "/v1/projects/ab%2Fcd+ef%2Fgh%3D%3D/settings",
		"/sourceConfig?writeKey=" + key, "/sourceConfig/?writeKey=ab%2Fcd%2Bef%2Fgh%3D%3D",
	} {
		status, _ := get(t, r, path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	a := r.do(t, "/beacon/v1/batch?writeKey="+key, batch(track), func(r *http.Request) { r.Header.Del("Authorization") })
	assert.Equal(t, http.StatusOK, a.status)
	for _, path := range []string{"/v1/projects/settings", "/v1/projects//settings", "/projects/settings", "/v2/projects/" + key + "/settings"} {
		status, _ := get(t, r, path)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
}

func TestPublicURLsThatAreRefused(t *testing.T) {
	for _, bad := range []string{"", "collect.shop.example", "ftp://a", "https://u:p@a", "https://a?b", "https://a#b", "https://\x7f"} {
		_, err := collect.NewHandler(&kissmetricstest.Recorder{}, collect.WithWriteKeys(writeKey), collect.WithPublicURL(bad))
		require.ErrorIs(t, err, kissmetrics.ErrInvalidOption, bad)
		require.ErrorContains(t, err, "WithPublicURL")
	}
}

func TestTheWriteKeyDecidesTheSource(t *testing.T) {
	var own kissmetricstest.Recorder
	r := newReceiver(t, collect.WithSources(
		collect.Source{Name: "shop", WriteKeys: []string{"shop-1", "shop-2"}, Sender: &own, Transform: kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen}},
		collect.Source{Name: "blog", WriteKeys: []string{"blog"}},
	))
	for _, key := range []string{"shop-1", "blog", writeKey, "shop-2"} {
		a := r.do(t, "/v1/track", track, func(r *http.Request) { r.SetBasicAuth(key, "") })
		assert.Equal(t, `{"success":true}`, a.text)
	}
	require.Len(t, own.Records(), 1, "a repeat under another key of the source")
	assert.Equal(t, "E-a", own.Records()[0].Properties[0].Name)
	assert.Len(t, r.recorder.Records(), 2, "the same message of another source is another one")
	var names []string
	for _, result := range r.results {
		names = append(names, result.Source)
	}
	assert.Equal(t, []string{"shop", "blog", "", "shop"}, names)
}

func TestSourcesThatAreRefused(t *testing.T) {
	good := collect.Source{Name: "a", WriteKeys: []string{"k"}}
	for name, sources := range map[string][]collect.Source{
		"without a name": {{WriteKeys: []string{"k"}}},
		"without a key":  {{Name: "a"}},
		"with no key":    {{Name: "a", WriteKeys: []string{""}}},
		"of one name":    {good, {Name: "a", WriteKeys: []string{"l"}}},
		"of one key":     {good, {Name: "b", WriteKeys: []string{"k"}}},
		"a nil pointer":  {{Name: "a", WriteKeys: []string{"k"}, Sender: (*kissmetricstest.Recorder)(nil)}},
		"a prefix style": {{Name: "a", WriteKeys: []string{"k"}, Transform: kissmetrics.TransformOptions{Prefix: 9}}},
		"nothing at all": nil,
	} {
		_, err := collect.NewHandler(&kissmetricstest.Recorder{}, collect.WithSources(sources...))
		require.ErrorIs(t, err, kissmetrics.ErrInvalidOption, name)
	}
	_, err := collect.NewHandler(nil, collect.WithSources(good))
	require.ErrorContains(t, err, "is nil")
	_, err = collect.NewHandler(nil, collect.WithSources(collect.Source{Name: "a", WriteKeys: []string{"k"}, Sender: &kissmetricstest.Recorder{}}))
	require.NoError(t, err, "every source has a sender of its own")
}
