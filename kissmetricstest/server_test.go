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
			warned:     []drop{{kissmetricstest.ReasonLongValue, "ascii"}, {kissmetricstest.ReasonLongValue, "wide"}},
		},
		{
			name:       "a value of more than 512 characters is kept and doubtful",
			requests:   []string{"/s?_k=key&_p=ann&most=" + url.QueryEscape(wideValue[:1024]) + "&more=" + url.QueryEscape(wideValue[:1026]) + first},
			properties: values{"most": wideValue[:1024], "more": wideValue[:1026]},
			warned:     []drop{{kissmetricstest.ReasonLongValue, "more"}},
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
	noSecond := []drop{{kissmetricstest.ReasonNotSeconds, "_t"}}
	for name, c := range map[string]struct {
		query  string
		warned []drop
	}{
		"without a time":                  {"", nil},
		"with d but without a time":       {"&_d=1", nil},
		"with a time but without d":       {"&_t=1700000000", nil},
		"with d=0":                        {"&_t=1700000000&_d=0", nil},
		"with d=true":                     {"&_t=1700000000&_d=true", nil},
		"with an old time but without d":  {"&_t=1", nil},
		"with a time that is no integer":  {"&_t=yesterday&_d=1", noSecond},
		"with a time that is too long":    {"&_t=99999999999999999999&_d=1", noSecond},
		"with a time that is a fraction":  {"&_t=1700000000.5&_d=1", noSecond},
		"with a time that is not decimal": {"&_t=0x10&_d=1", noSecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			before := time.Now().Unix()
			requirePicture(t, get(t, client, server, "/e?_k=key&_p=ann&_n=Signed+Up&Plan=Pro"+c.query))
			after := time.Now().Unix()
			require.Len(t, server.Events("ann"), 1)
			require.Len(t, server.History("ann", "Plan"), 1)
			got := server.Events("ann")[0].Time
			assert.GreaterOrEqual(t, got.Unix(), before)
			assert.LessOrEqual(t, got.Unix(), after)
			assert.Zero(t, got.Nanosecond())
			assert.Equal(t, got, server.History("ann", "Plan")[0].Time)
			assert.Empty(t, server.Ignored())
			assert.Equal(t, c.warned, warnings(server))
		})
	}
}

func TestTimesAheadAreDoubtful(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		at     int64
		warned []drop
	}{
		"an hour ahead":       {now.Add(time.Hour).Unix(), nil},
		"two days ahead":      {now.AddDate(0, 0, 2).Unix(), []drop{{kissmetricstest.ReasonFuture, "_t"}}},
		"years ahead":         {now.AddDate(60, 0, 0).Unix(), []drop{{kissmetricstest.ReasonFuture, "_t"}}},
		"in milliseconds":     {now.UnixMilli(), []drop{{kissmetricstest.ReasonMilliseconds, "_t"}}},
		"in old milliseconds": {1230768000000, []drop{{kissmetricstest.ReasonMilliseconds, "_t"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			get(t, client, server, "/e?_k=key&_p=ann&_n=Signed+Up&_d=1&_t="+strconv.FormatInt(c.at, 10))
			require.Len(t, server.Events("ann"), 1)
			assert.Equal(t, at(c.at), server.Events("ann")[0].Time)
			assert.Empty(t, server.Ignored())
			assert.Equal(t, c.warned, warnings(server))
		})
	}
}

func TestDoubtfulParameters(t *testing.T) {
	t.Parallel()
	signedUp := func(properties values) events { return events{event("Signed Up", 0, properties)} }
	run(t, []rule{
		{
			name:       "an object or a list of JSON is kept and doubtful",
			requests:   []string{"/e?_k=key&_p=ann&_n=Signed+Up&a=%7B%22b%22:1%7D&b=+[1,2]&c=%7Bx%7D&d=[&e=12&f=%22t%22" + first},
			events:     signedUp(values{"a": `{"b":1}`, "b": " [1,2]", "c": "{x}", "d": "[", "e": "12", "f": `"t"`}),
			properties: values{"a": `{"b":1}`, "b": " [1,2]", "c": "{x}", "d": "[", "e": "12", "f": `"t"`},
			warned:     []drop{{kissmetricstest.ReasonJSONValue, "a"}, {kissmetricstest.ReasonJSONValue, "b"}},
		},
		{
			name:       "what is not UTF-8 is kept and doubtful",
			requests:   []string{"/e?_k=key&_p=ann&_n=caf%E9&a%E9=1&b=%E9" + first, "/s?_k=key&_p=caf%E9&a=1" + first},
			events:     events{event("caf\xe9", 0, values{"a\xe9": "1", "b": "\xe9"})},
			properties: values{"a\xe9": "1", "b": "\xe9"},
			warned: []drop{
				{kissmetricstest.ReasonNotUTF8, "_n"}, {kissmetricstest.ReasonNotUTF8, "a\xe9"},
				{kissmetricstest.ReasonNotUTF8, "b"}, {kissmetricstest.ReasonNotUTF8, "_p"},
			},
		},
		{
			name: "the parameters of known senders are no properties and nothing is said",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed+Up&_c=mobile_app&_u=1&_umid=2&_IP=::1&_ua=x&_server_timestamp=1&_=17" + first,
				"/e?_k=key&_p=ann&_n=Opened&_c=mobile_app&_u=2" + first,
				"/a?_k=key&_p=ann&_n=ann-2&_c=mobile_app&_u=3",
			},
			events: events{event("Signed Up", 0, nil), event("Opened", 0, nil)},
		},
		{
			name:       "another name with one underscore before it is no property and doubtful",
			requests:   []string{"/e?_k=key&_p=ann&_n=Signed+Up&_plan=Pro&__plan=Pro" + first},
			events:     signedUp(values{"__plan": "Pro"}),
			properties: values{"__plan": "Pro"},
			warned:     []drop{{kissmetricstest.ReasonUnknownParameter, "_plan"}},
		},
		{
			name:     "a parameter that is given twice is doubtful",
			requests: []string{"/e?_k=key&_p=ann&_p=bob&_n=Signed+Up&_n=Signed+Up&_t=1700000000&_d=1&_d=0"},
			events:   signedUp(nil),
			warned:   []drop{{kissmetricstest.ReasonRepeated, "_d"}, {kissmetricstest.ReasonRepeated, "_p"}},
		},
		{
			name: "an identity that many people share is doubtful",
			requests: []string{
				"/s?_k=key&_p=Undefined&a=1" + first, "/e?_k=key&_p=%5Bobject+Object%5D&_n=n" + first,
				"/a?_k=key&_p=null&_n=%27guest%27", "/e?_k=key&_p=ann&_n=Signed+Up" + first,
			},
			events: signedUp(nil),
			warned: []drop{
				{kissmetricstest.ReasonSharedIdentity, "_p"}, {kissmetricstest.ReasonSharedIdentity, "_p"},
				{kissmetricstest.ReasonSharedIdentity, "_p"}, {kissmetricstest.ReasonSharedIdentity, "_n"},
			},
		},
		{
			name:     "an alias of an identity to itself is doubtful",
			requests: []string{"/a?_k=key&_p=ann&_n=ANN", "/e?_k=key&_p=ann&_n=Signed+Up" + first},
			events:   signedUp(nil),
			warned:   []drop{{reason: kissmetricstest.ReasonAliasOfItself}},
		},
	})
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
