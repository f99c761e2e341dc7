package kissmetricstest_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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
			name:       "s needs no name and ignores one",
			requests:   []string{"/s?_k=key&_p=ann&Plan=Pro&_n=" + strings.Repeat("n", 256) + first},
			properties: values{"Plan": "Pro"},
		},
		{
			name:     "a has no properties",
			requests: []string{"/a?_k=key&_p=ann&_n=bob&Plan=Pro"},
		},
		{
			name: "a prefix of the path does not matter",
			requests: []string{
				"/proxy/e?_k=key&_p=ann&_n=Signed+Up" + first,
				"/a/b/c/s?_k=key&_p=ann&Plan=Pro" + first,
			},
			events:     events{event("Signed Up", 0, nil)},
			properties: values{"Plan": "Pro"},
		},
		{
			name: "any other path is unknown",
			requests: []string{
				"?_k=key&_p=ann&_n=n", "/?_k=key&_p=ann&_n=n", "/event?_k=key&_p=ann&_n=n",
				"/E?_k=key&_p=ann&_n=n", "/e/x?_k=key&_p=ann&_n=n",
			},
			ignored: []drop{
				{reason: kissmetricstest.ReasonUnknownPath}, {reason: kissmetricstest.ReasonUnknownPath},
				{reason: kissmetricstest.ReasonUnknownPath}, {reason: kissmetricstest.ReasonUnknownPath},
				{reason: kissmetricstest.ReasonUnknownPath},
			},
		},
		{
			name:     "what cannot be decoded is unreadable",
			requests: []string{"/e?_k=key&_p=ann&_n=%zz" + first},
			ignored:  []drop{{reason: kissmetricstest.ReasonUnreadable}},
		},
	})
}

func TestRequiredParameters(t *testing.T) {
	t.Parallel()
	noKey := drop{reason: kissmetricstest.ReasonNoAPIKey}
	noPerson := drop{reason: kissmetricstest.ReasonNoPerson}
	noName := drop{reason: kissmetricstest.ReasonNoName}
	run(t, []rule{
		{
			name:     "without a key everything is ignored",
			requests: []string{"/e?_p=ann&_n=n", "/s?_p=ann&Plan=Pro", "/a?_p=ann&_n=bob", "/e?_k=&_p=ann&_n=n", "/e"},
			ignored:  []drop{noKey, noKey, noKey, noKey, noKey},
		},
		{
			name:     "without a person everything is ignored",
			requests: []string{"/e?_k=key&_n=n", "/s?_k=key&Plan=Pro", "/a?_k=key&_n=ann", "/e?_k=key&_p=+&_n=n"},
			ignored:  []drop{noPerson, noPerson, noPerson, noPerson},
		},
		{
			name:     "without a name an event and an alias are ignored",
			requests: []string{"/e?_k=key&_p=ann&Plan=Pro", "/a?_k=key&_p=ann", "/e?_k=key&_p=ann&_n=+", "/a?_k=key&_p=ann&_n="},
			ignored:  []drop{noName, noName, noName, noName},
		},
		{
			name:       "a property without a name is ignored alone",
			requests:   []string{"/s?_k=key&_p=ann&+=x&Plan=Pro" + first},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{{kissmetricstest.ReasonNoName, " "}},
		},
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	// Two bytes a character: more than 255 bytes, yet not too long.
	most := strings.Repeat("é", 255)
	escaped := url.QueryEscape(most)
	fullValue := strings.Repeat("v", 8192)
	wideValue := strings.Repeat("é", 4096)
	tooLong := drop{reason: kissmetricstest.ReasonNameTooLong}
	run(t, []rule{
		{
			name:     "a name of 255 characters is kept",
			requests: []string{"/e?_k=key&_p=ann&_n=" + escaped + "&" + escaped + "=x" + first},
			events:   events{event(most, 0, values{most: "x"})}, properties: values{most: "x"},
		},
		{
			name:     "an event with a name of 256 characters is ignored",
			requests: []string{"/e?_k=key&_p=ann&_n=" + escaped + "e&Plan=Pro" + first},
			ignored:  []drop{tooLong},
		},
		{
			name:       "a property with a name of 256 characters is ignored alone",
			requests:   []string{"/e?_k=key&_p=ann&_n=n&" + escaped + "e=x&Plan=Pro" + first},
			events:     events{event("n", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{{kissmetricstest.ReasonNameTooLong, most + "e"}},
		},
		{
			name: "an identity of 256 characters is ignored",
			requests: []string{
				"/e?_k=key&_n=n&_p=" + escaped + "e",
				"/s?_k=key&Plan=Pro&_p=" + escaped + "e",
				"/a?_k=key&_p=ann&_n=" + escaped + "e",
				"/a?_k=key&_n=ann&_p=" + escaped + "e",
			},
			ignored: []drop{tooLong, tooLong, tooLong, tooLong},
		},
		{
			name:       "a value of 8192 bytes is kept",
			requests:   []string{"/s?_k=key&_p=ann&ascii=" + fullValue + "&wide=" + url.QueryEscape(wideValue) + first},
			properties: values{"ascii": fullValue, "wide": wideValue},
		},
		{
			name:       "a value of 8193 bytes is ignored alone",
			requests:   []string{"/e?_k=key&_p=ann&_n=n&Plan=Pro&ascii=" + fullValue + "v&wide=" + url.QueryEscape(wideValue) + "v" + first},
			events:     events{event("n", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored: []drop{
				{kissmetricstest.ReasonValueTooLong, "ascii"},
				{kissmetricstest.ReasonValueTooLong, "wide"},
			},
		},
		{
			name: "nothing from before 2009 is kept",
			requests: []string{
				"/e?_k=key&_p=ann&_n=n&Plan=Pro&_d=1&_t=1230767999",
				"/s?_k=key&_p=ann&Plan=Pro&_d=1&_t=0",
				"/s?_k=key&_p=ann&Plan=Pro&_d=1&_t=-1",
			},
			ignored: []drop{
				{reason: kissmetricstest.ReasonTooOld}, {reason: kissmetricstest.ReasonTooOld},
				{reason: kissmetricstest.ReasonTooOld},
			},
		},
		{
			name:       "the first second of 2009 is kept",
			requests:   []string{"/e?_k=key&_p=ann&_n=n&Plan=Pro&_d=1&_t=1230768000"},
			events:     events{{Name: "n", Time: time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC), Properties: values{"Plan": "Pro"}}},
			properties: values{"Plan": "Pro"},
		},
	})
}

func TestTimeIsThatOfTheReceiptUnlessItIsToBeBelieved(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"without a time":                  "",
		"with d but without a time":       "&_d=1",
		"with a time but without d":       "&_t=1700000000",
		"with d=0":                        "&_t=1700000000&_d=0",
		"with d=true":                     "&_t=1700000000&_d=true",
		"with an old time but without d":  "&_t=1",
		"with a time that is no integer":  "&_t=yesterday&_d=1",
		"with a time that is too long":    "&_t=99999999999999999999&_d=1",
		"with a time that is a fraction":  "&_t=1700000000.5&_d=1",
		"with a time that is not decimal": "&_t=0x10&_d=1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			before := time.Now().Unix()
			requirePicture(t, get(t, client, server, "/e?_k=key&_p=ann&_n=Signed+Up&Plan=Pro"+query))
			after := time.Now().Unix()
			require.Len(t, server.Events("ann"), 1)
			require.Len(t, server.History("ann", "Plan"), 1)
			got := server.Events("ann")[0].Time
			assert.GreaterOrEqual(t, got.Unix(), before)
			assert.LessOrEqual(t, got.Unix(), after)
			assert.Zero(t, got.Nanosecond())
			assert.Equal(t, got, server.History("ann", "Plan")[0].Time)
			assert.Empty(t, server.Ignored())
		})
	}
}

func TestAnswerIsAPictureHoweverWrongTheRequest(t *testing.T) {
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
	requirePicture(t, get(t, client, server, "/%00?;;;&&&==="))
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
		request := newRequest(t.Context(), t, method, server.URL, "/x/e?_k=key&_p=ann&a,B=%C3%A9&a,B=2")
		request.Header.Set("User-Agent", "test/"+method)
		_, err := do(client, request)
		require.NoError(t, err)
	}
	params := url.Values{"_k": {"key"}, "_p": {"ann"}, "a,B": {"é", "2"}}
	requests := server.Requests()
	require.Len(t, requests, 2, "one that met a fault is among them")
	for i, method := range []string{http.MethodGet, http.MethodPost} {
		assert.Equal(t, method, requests[i].Method)
		assert.Equal(t, "/x/e", requests[i].Path)
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
	state := func() []any {
		return []any{
			server.Events("ann"), server.Properties("ann"), server.History("ann", "Plan"),
			server.Identities("ann"), server.Requests(), server.Ignored(),
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
				_, _, _ = server.History(person, "Plan"), server.Identities(person), server.Connections()
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
