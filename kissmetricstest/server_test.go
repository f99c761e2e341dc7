package kissmetricstest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const (
	second = 1700000000
	// first and next end a query: two seconds that are to be believed.
	first = "&_d=1&_t=1700000000"
	next  = "&_d=1&_t=1700000001"
)

type (
	events = []kissmetricstest.Event
	values = map[string]string
)

func TestPaths(t *testing.T) {
	t.Parallel()
	run(t, []rule{
		{
			name:     "e is an event",
			requests: []string{"/e?_k=key&_p=ann&_n=Signed+Up" + first},
			events:   events{event("Signed Up", 0, nil)},
		},
		{
			name:       "properties of an event are of the person too",
			requests:   []string{"/e?_k=key&_p=ann&_n=Signed+Up&Plan=Pro&Empty=" + first},
			events:     events{event("Signed Up", 0, values{"Plan": "Pro", "Empty": ""})},
			properties: values{"Plan": "Pro", "Empty": ""},
		},
		{
			name:       "s sets properties and is no event",
			requests:   []string{"/s?_k=key&_p=ann&Plan=Pro&Seats=3" + first},
			properties: values{"Plan": "Pro", "Seats": "3"},
		},
		{
			name:       "s needs no name and has no use for one",
			requests:   []string{"/s?_k=key&_p=ann&Plan=Pro&_n=" + strings.Repeat("n", 256) + first},
			properties: values{"Plan": "Pro"},
			warned:     []drop{{kissmetricstest.ReasonUnusedName, "_n"}},
		},
		{
			name:     "s without properties says nothing",
			requests: []string{"/s?_k=key&_p=ann&_ip=1.2.3.4" + first},
			warned:   []drop{{reason: kissmetricstest.ReasonNothingKnown}},
		},
		{
			name:     "a has no properties",
			requests: []string{"/a?_k=key&_p=ann&_n=bob&Plan=Pro&_ip=1.2.3.4"},
			ignored:  []drop{{kissmetricstest.ReasonAliasProperty, "Plan"}},
		},
		{
			name:     "what cannot be decoded is unreadable",
			requests: []string{"/e?_k=key&_p=ann&_n=%zz" + first},
			ignored:  []drop{{reason: kissmetricstest.ReasonUnreadable}},
		},
	})
}

func TestOtherPathsAreUnknown(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "/event", "/E", "/e/", "/e/x", "//e", "/proxy/e", "/v1/products/x/tracking/e"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			got := get(t, client, server, path+"?_k=key&_p=ann&_n=n"+first)
			assert.Equal(t, http.StatusNotFound, got.status)
			assert.Equal(t, "unknown path\n", got.body)
			assert.Equal(t, []drop{{reason: kissmetricstest.ReasonUnknownPath}}, drops(server))
			assert.Empty(t, server.Events("ann"))
		})
	}
}

func TestOtherMethodsAreIgnored(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			got, err := do(client, newRequest(t.Context(), t, method, server.URL, "/e?_k=key&_p=ann&_n=n"+first))
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, got.status)
			assert.Equal(t, []drop{{reason: kissmetricstest.ReasonMethod}}, drops(server))
			assert.Empty(t, server.Events("ann"))
		})
	}
}

func TestAnswerIsAPictureHoweverWrongTheParameters(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	post := func(contentType, body string) answer {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/e", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", contentType)
		got, err := do(client, request)
		require.NoError(t, err)
		return got
	}
	requirePicture(t, post("application/json", `{"_k":"key"}`))
	requirePicture(t, post("///", "_k=key"))
	requirePicture(t, post("application/x-www-form-urlencoded", "_k=key&_p=ann&_n="+strings.Repeat("n", 4<<20)))
	requirePicture(t, get(t, client, server, "/s?;;;&&&==="))
	assert.Equal(t, []drop{
		{reason: kissmetricstest.ReasonNoAPIKey},
		{reason: kissmetricstest.ReasonUnreadable},
		{reason: kissmetricstest.ReasonUnreadable},
		{reason: kissmetricstest.ReasonUnreadable},
	}, drops(server))
}

func TestRequestsAndIgnoredHoldRequestsAsReceived(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.Fail(kissmetricstest.Fault{Status: http.StatusServiceUnavailable})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		request := newRequest(t.Context(), t, method, server.URL, "/e?_k=key&_p=ann&a,B=%C3%A9&a,B=2")
		request.Header.Set("User-Agent", "test/"+method)
		_, err := do(client, request)
		require.NoError(t, err)
	}
	params := url.Values{"_k": {"key"}, "_p": {"ann"}, "a,B": {"é", "2"}}
	requests := server.Requests()
	require.Len(t, requests, 2, "one that met a fault is among them")
	for i, method := range []string{http.MethodGet, http.MethodPost} {
		assert.Equal(t, method, requests[i].Method)
		assert.Equal(t, "/e", requests[i].Path)
		assert.Equal(t, params, requests[i].Params)
		assert.Equal(t, "test/"+method, requests[i].Header.Get("User-Agent"))
	}
	assert.Equal(t, []kissmetricstest.Ignored{
		{Reason: kissmetricstest.ReasonNoName, Request: requests[1]},
	}, server.Ignored(), "one that met a fault is not among them")
}

func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	for range 3 {
		get(t, client, server, "/e")
	}
	assert.Equal(t, 1, server.Connections(), "kept alive")
	get(t, newHTTPClient(t), server, "/e")
	assert.Equal(t, 2, server.Connections())
}

func TestWhatIsReturnedIsTheCallers(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	get(t, client, server, "/e?_k=key&_p=ann&_n=n&Plan=Pro"+first)
	get(t, client, server, "/e?_k=key&_p=ann&_n=n&Plan=Pro"+first) // ignored
	get(t, client, server, "/a?_k=key&_p=ann&_n=bob")
	get(t, client, server, "/a?_k=key&_p=ann&_n=ann") // warned of
	state := func() []any {
		return []any{
			server.Events("ann"), server.Properties("ann"), server.History("ann", "Plan"),
			server.Identities("ann"), server.Requests(), server.Ignored(), server.Warnings(),
		}
	}
	before := state()

	events, properties := server.Events("ann"), server.Properties("ann")
	events[0].Properties["Plan"] = "changed"
	events[0].Properties["New"] = "new"
	events[0].Name = "changed"
	properties["Plan"] = "changed"
	properties["New"] = "new"
	server.History("ann", "Plan")[0].Value = "changed"
	server.Identities("ann")[0] = "changed"
	spoil := func(r *kissmetricstest.Request) {
		r.Params["_p"][0] = "changed"
		r.Params.Set("new", "new")
		r.Header["User-Agent"][0] = "changed"
		r.Header.Set("New", "new")
		r.Path = "changed"
	}
	spoil(&server.Requests()[0])
	spoil(&server.Requests()[1])
	ignored := server.Ignored()
	spoil(&ignored[0].Request)
	ignored[0].Reason = "changed"
	warned := server.Warnings()
	spoil(&warned[0].Request)
	warned[0].Reason = "changed"

	assert.Equal(t, before, state())
}

func TestServerIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	const goroutines, each = 16, 12
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		if r.Form.Get("_n") == "fail" {
			return &kissmetricstest.Fault{Status: 503}
		}
		return nil
	})
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			person := "p" + strconv.Itoa(g)
			for i := range each {
				for _, target := range []string{
					"/e?_n=n&Plan=Pro&_d=1&_t=" + strconv.Itoa(second+i),
					"/e?_n=fail",
					"/a?_n=everyone",
					"/unknown",
				} {
					target = strings.Replace(target+"&", "?", "?_k=key&_p="+person+"&", 1)
					_, err := do(client, newRequest(t.Context(), t, http.MethodGet, server.URL, target))
					assert.NoError(t, err)
				}
				server.Fail(kissmetricstest.Fault{}, kissmetricstest.Fault{})
				events, properties := server.Events(person), server.Properties(person)
				for _, e := range events {
					e.Properties["Plan"] = person
				}
				properties["Plan"] = person
				for _, r := range server.Requests() {
					r.Params.Set("_p", person)
					r.Header.Set("Asked-By", person)
				}
				for _, dropped := range server.Ignored() {
					dropped.Request.Params.Set("_p", person)
				}
				_, _, _, _ = server.History(person, "Plan"), server.Identities(person), server.Connections(), server.Warnings()
			}
		})
	}
	wg.Wait()
	assert.Len(t, server.Requests(), goroutines*each*4)
	assert.Len(t, server.Identities("everyone"), goroutines+1)
	var got int
	for _, e := range server.Events("everyone") {
		if e.Name == "n" {
			got++
			assert.Equal(t, values{"Plan": "Pro"}, e.Properties)
		}
	}
	assert.Equal(t, goroutines*each, got)
	assert.Len(t, server.History("everyone", "Plan"), goroutines*each)
}

// TestServesWithoutANetwork: a call is answered, kept and cut as a request is.
func TestServesWithoutANetwork(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	call := func(request *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, request)
		return w
	}
	const target = "/e?_k=key&_p=ann&_n=n" + first
	w := call(newRequest(t.Context(), t, http.MethodGet, server.URL, target))
	requirePicture(t, answer{w.Code, w.Header(), w.Body.String()})
	w = call(newRequest(t.Context(), t, http.MethodPost, server.URL, strings.Replace(target, "ann", "bob", 1)))
	requirePicture(t, answer{w.Code, w.Header(), w.Body.String()})
	call(&http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/e"}})
	server.Fail(kissmetricstest.Fault{Cut: kissmetricstest.CutHalf})
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { call(newRequest(t.Context(), t, http.MethodGet, server.URL, target)) })

	assert.Equal(t, events{event("n", 0, nil)}, server.Events("ann"))
	assert.Equal(t, events{event("n", 0, nil)}, server.Events("bob"))
	assert.Equal(t, []drop{{kissmetricstest.ReasonUnreadable, ""}}, drops(server))
	assert.Len(t, server.Requests(), 4)
	server.Close()
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { call(newRequest(t.Context(), t, http.MethodGet, server.URL, target)) })
}
