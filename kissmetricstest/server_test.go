package kissmetricstest_test

import (
	"context"
	"errors"
	"fmt"
	"image/gif"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	second = 1700000000
	// first and next end a query: two seconds that are to be believed.
	first = "&_d=1&_t=1700000000"
	next  = "&_d=1&_t=1700000001"
)

func at(second int64) time.Time { return time.Unix(second, 0).UTC() }

// newHTTPClient returns a client with connections of its own.
func newHTTPClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// newRequest returns a request for a target such as "/e?_k=key", with the query
// as a form if the method is POST.
func newRequest(ctx context.Context, t testing.TB, method, baseURL, target string) *http.Request {
	t.Helper()
	var body io.Reader
	path, query, _ := strings.Cut(target, "?")
	if method == http.MethodPost {
		target, body = path, strings.NewReader(query)
	}
	request, err := http.NewRequestWithContext(ctx, method, baseURL+target, body)
	require.NoError(t, err)
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request
}

// answer is what a client made of an answer.
type answer struct {
	status int
	header http.Header
	body   string
}

func do(client *http.Client, request *http.Request) (answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// get makes a GET that is to be answered somehow.
func get(t testing.TB, client *http.Client, server *kissmetricstest.Server, target string) answer {
	t.Helper()
	got, err := do(client, newRequest(t.Context(), t, http.MethodGet, server.URL, target))
	require.NoError(t, err)
	return got
}

// requirePicture requires the answer of the tracking API: 200 and a picture of
// one pixel.
func requirePicture(t testing.TB, got answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "image/gif", got.header.Get("Content-Type"))
	picture, err := gif.Decode(strings.NewReader(got.body))
	require.NoError(t, err)
	require.Equal(t, 1, picture.Bounds().Dx())
	require.Equal(t, 1, picture.Bounds().Dy())
}

// drop is an Ignored without its request.
type drop struct {
	reason   kissmetricstest.Reason
	property string
}

func drops(server *kissmetricstest.Server) []drop {
	var all []drop
	for _, ignored := range server.Ignored() {
		all = append(all, drop{ignored.Reason, ignored.Property})
	}
	return all
}

// event is short for an event of which the second counts from the first.
func event(name string, after int64, properties map[string]string) kissmetricstest.Event {
	if properties == nil {
		properties = map[string]string{}
	}
	return kissmetricstest.Event{Name: name, Time: at(second + after), Properties: properties}
}

// A rule is what Kissmetrics is to make of some requests: what it then knows of
// the person "ann", and what it has dropped.
type rule struct {
	name       string
	requests   []string
	events     []kissmetricstest.Event
	properties map[string]string
	ignored    []drop
}

// run sends the requests of each rule, once by GET and once by POST.
func run(t *testing.T, rules []rule) {
	t.Helper()
	for _, rule := range rules {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(rule.name+" by "+method, func(t *testing.T) {
				t.Parallel()
				server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
				for _, target := range rule.requests {
					got, err := do(client, newRequest(t.Context(), t, method, server.URL, target))
					require.NoError(t, err)
					requirePicture(t, got)
				}
				assert.Equal(t, rule.events, server.Events("ann"))
				if rule.properties == nil {
					assert.Empty(t, server.Properties("ann"))
				} else {
					assert.Equal(t, rule.properties, server.Properties("ann"))
				}
				assert.Equal(t, rule.ignored, drops(server))
				assert.Len(t, server.Requests(), len(rule.requests))
			})
		}
	}
}

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

func TestDuplicates(t *testing.T) {
	t.Parallel()
	duplicate := drop{reason: kissmetricstest.ReasonDuplicateEvent}
	run(t, []rule{
		{
			name: "an event is ignored if person and name and second were seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed+Up&Plan=Pro" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up&Plan=Basic&Seats=3" + first,
			},
			events:     events{event("Signed Up", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{duplicate},
		},
		{
			name: "an event of another person or name or second is none of those seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed+Up" + first,
				"/e?_k=key&_p=bob&_n=Signed+Up" + first,
				"/e?_k=key&_p=ann&_n=Signed+In" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up" + next,
			},
			events: events{event("Signed Up", 0, nil), event("Signed In", 0, nil), event("Signed Up", 1, nil)},
		},
		{
			name: "events are compared without regard to case and with spaces for commas and colons",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed:Up,Now" + first,
				"/e?_k=key&_p=ann&_n=SIGNED+UP+NOW" + first,
			},
			events:  events{event("Signed Up Now", 0, nil)},
			ignored: []drop{duplicate},
		},
		{
			name: "a property is ignored if person and name and second were seen whatever the value",
			requests: []string{
				"/s?_k=key&_p=ann&Plan=Pro" + first,
				"/s?_k=key&_p=ann&Plan=Basic" + first,
				"/s?_k=key&_p=ann&Plan=Pro" + first,
			},
			properties: values{"Plan": "Pro"},
			ignored: []drop{
				{kissmetricstest.ReasonDuplicateValue, "Plan"},
				{kissmetricstest.ReasonDuplicateValue, "Plan"},
			},
		},
		{
			name: "a property of another person or second is none of those seen",
			requests: []string{
				"/s?_k=key&_p=ann&Plan=Pro" + first,
				"/s?_k=key&_p=bob&Plan=Team" + first,
				"/s?_k=key&_p=ann&Plan=Basic" + next,
			},
			properties: values{"Plan": "Basic"},
		},
		{
			name: "properties are compared without regard to case and with spaces for commas and colons",
			requests: []string{
				"/s?_k=key&_p=ann&Plan:Type=Pro" + first,
				"/s?_k=key&_p=ann&plan,TYPE=Basic" + first,
				"/s?_k=key&_p=ann&PLAN+TYPE=Team" + next,
			},
			properties: values{"Plan Type": "Team"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "plan,TYPE"}},
		},
		{
			name:       "two properties of one request may be one",
			requests:   []string{"/e?_k=key&_p=ann&_n=n&Plan=Pro&plan=Basic" + first},
			events:     events{event("n", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "plan"}},
		},
		{
			name: "an event whose property was seen is kept with the value seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=one&Plan=Pro" + first,
				"/e?_k=key&_p=ann&_n=two&Plan=Basic" + first,
			},
			events:     events{event("one", 0, values{"Plan": "Pro"}), event("two", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "Plan"}},
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

func TestAlias(t *testing.T) {
	t.Parallel()
	const (
		annPro   = "/e?_k=key&_p=ann&_n=one&Plan=Pro" + first
		bobBasic = "/e?_k=key&_p=bob&_n=two&Plan=Basic&Seats=3" + next
	)
	alias := func(a, b string) string { return "/a?_k=key&_p=" + a + "&_n=" + b }
	both := events{
		event("one", 0, values{"Plan": "Pro"}),
		event("two", 1, values{"Plan": "Basic", "Seats": "3"}),
	}
	merged := values{"Plan": "Basic", "Seats": "3"}
	for _, c := range []struct {
		name       string
		requests   []string
		identities []string
		events     events
		properties values
	}{
		{"nobody is merged without an alias", []string{annPro, bobBasic}, []string{"ann"}, both[:1], values{"Plan": "Pro"}},
		{"two identities are one person with what both did and have", []string{annPro, bobBasic, alias("ann", "bob")}, []string{"ann", "bob"}, both, merged},
		{"the direction does not matter", []string{annPro, bobBasic, alias("bob", "ann")}, []string{"ann", "bob"}, both, merged},
		{"an alias may come before any event", []string{alias("ann", "bob"), bobBasic, annPro}, []string{"ann", "bob"}, both, merged},
		{"an alias may come between events", []string{bobBasic, alias("ann", "bob"), annPro}, []string{"ann", "bob"}, both, merged},
		{"aliases reach over others", []string{alias("ann", "x"), annPro, alias("y", "bob"), alias("x", "y"), bobBasic}, []string{"ann", "bob", "x", "y"}, both, merged},
		{"aliases with a common identity make one person", []string{annPro, bobBasic, alias("ann", "x"), alias("bob", "x")}, []string{"ann", "bob", "x"}, both, merged},
		{"an alias to itself does no harm", []string{annPro, alias("ann", "ann")}, []string{"ann"}, both[:1], values{"Plan": "Pro"}},
		{"an alias twice does no harm", []string{annPro, alias("ann", "bob"), bobBasic, alias("ann", "bob")}, []string{"ann", "bob"}, both, merged},
		{"a cycle does no harm", []string{alias("ann", "bob"), alias("bob", "x"), alias("x", "ann"), alias("bob", "ann"), annPro, bobBasic}, []string{"ann", "bob", "x"}, both, merged},
		{"an alias alone makes both known", []string{alias("ann", "bob")}, []string{"ann", "bob"}, nil, values{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			for _, target := range c.requests {
				requirePicture(t, get(t, client, server, target))
			}
			for _, identity := range c.identities {
				assert.Equal(t, c.identities, server.Identities(identity))
				assert.Equal(t, c.events, server.Events(identity))
				assert.Equal(t, c.properties, server.Properties(identity))
			}
			assert.Empty(t, server.Ignored())
		})
	}
}

// An event is a duplicate by the identity it came with, so a merged person can
// have it twice.
func TestAliasKeepsWhatBothDidInTheSameSecond(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	get(t, client, server, "/e?_k=key&_p=ann&_n=n&Plan=Pro"+first)
	get(t, client, server, "/a?_k=key&_p=ann&_n=bob")
	get(t, client, server, "/e?_k=key&_p=bob&_n=n&Plan=Basic"+first)
	assert.Equal(t, events{
		event("n", 0, values{"Plan": "Pro"}), event("n", 0, values{"Plan": "Basic"}),
	}, server.Events("bob"))
	assert.Equal(t, []kissmetricstest.Value{
		{Time: at(second), Value: "Pro"}, {Time: at(second), Value: "Basic"},
	}, server.History("ann", "Plan"))
	assert.Equal(t, values{"Plan": "Basic"}, server.Properties("ann"))
	assert.Empty(t, server.Ignored())
}

func TestNobodyHasNothing(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	assert.Empty(t, server.Events("nobody"))
	assert.Empty(t, server.Properties("nobody"))
	assert.Empty(t, server.History("nobody", "Plan"))
	assert.Empty(t, server.Identities("nobody"))
	assert.Empty(t, server.Requests())
	assert.Empty(t, server.Ignored())
	assert.Zero(t, server.Connections())
}

func TestEventsHistoryAndPropertiesGoByTimeNotByArrival(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	for _, target := range []string{
		"/e?_k=key&_p=ann&_n=late&Plan=Late&_d=1&_t=1700000009",
		"/s?_k=key&_p=ann&plan=Middle&_d=1&_t=1700000005",
		"/e?_k=key&_p=ann&_n=early&PLAN=Early&_d=1&_t=1700000000",
	} {
		requirePicture(t, get(t, client, server, target))
	}
	assert.Equal(t, events{
		event("early", 0, values{"Plan": "Early"}), event("late", 9, values{"Plan": "Late"}),
	}, server.Events("ann"))
	history := []kissmetricstest.Value{
		{Time: at(second), Value: "Early"}, {Time: at(second + 5), Value: "Middle"}, {Time: at(second + 9), Value: "Late"},
	}
	assert.Equal(t, history, server.History("ann", "Plan"))
	assert.Equal(t, history, server.History("ann", "pLAN"), "names have no case")
	assert.Empty(t, server.History("ann", "Seats"))
	assert.Equal(t, values{"Plan": "Late"}, server.Properties("ann"), "spelled as first seen")
	assert.Equal(t, []string{"ann"}, server.Identities("ann"))
}

func TestHistoryReadsCommasAndColonsAsSpaces(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	get(t, client, server, "/s?_k=key&_p=ann&Plan+Type=Pro"+first)
	for _, name := range []string{"Plan Type", "plan:type", "PLAN,TYPE"} {
		assert.Equal(t, []kissmetricstest.Value{{Time: at(second), Value: "Pro"}}, server.History("ann", name))
	}
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

func TestRequestGivenToFailWithIsTheCallersToChange(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		r.Form["_p"][0] = "changed"
		r.Form.Set("new", "new")
		r.Header.Set("New", "new")
		return nil
	})
	get(t, client, server, "/e?_k=key&_p=ann&_n=n"+first)
	require.Len(t, server.Requests(), 1)
	assert.Equal(t, "ann", server.Requests()[0].Params.Get("_p"))
	assert.False(t, server.Requests()[0].Params.Has("new"))
	assert.Empty(t, server.Requests()[0].Header.Get("New"))
	assert.Equal(t, events{event("n", 0, values{})}, server.Events("ann"))
}

// isReset reports whether err is that of a connection that was reset.
func isReset(err error) bool {
	return runtime.GOOS == "windows" && err != nil || errors.Is(err, syscall.ECONNRESET)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	type seen struct {
		status     int
		retryAfter string
		err        func(error) bool
	}
	isUnexpectedEOF := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
	const someDate = "Tue, 24 Nov 2026 12:00:00 GMT"
	for _, c := range []struct {
		name    string
		fault   kissmetricstest.Fault
		want    seen
		counted bool
	}{
		{"a zero fault lets a request pass", kissmetricstest.Fault{}, seen{status: 200}, true},
		{"a status of 200 lets it pass", kissmetricstest.Fault{Status: 200}, seen{status: 200}, true},
		{"a status is answered", kissmetricstest.Fault{Status: 503}, seen{status: 503}, false},
		{"a refusal is answered", kissmetricstest.Fault{Status: 400}, seen{status: 400}, false},
		{"a redirect is answered", kissmetricstest.Fault{Status: 304}, seen{status: 304}, false},
		{"another success counts", kissmetricstest.Fault{Status: 204}, seen{status: 204}, true},
		{"a status comes with seconds to wait", kissmetricstest.Fault{Status: 429, RetryAfter: "7"}, seen{status: 429, retryAfter: "7"}, false},
		{"a status comes with a date to wait for", kissmetricstest.Fault{Status: 503, RetryAfter: someDate}, seen{status: 503, retryAfter: someDate}, false},
		{"a status of a recorded request", kissmetricstest.Fault{Status: 500, Recorded: true}, seen{status: 500}, true},
		{"a delay only delays", kissmetricstest.Fault{Delay: time.Nanosecond}, seen{status: 200}, true},
		{"a delay and a status", kissmetricstest.Fault{Delay: time.Nanosecond, Status: 502}, seen{status: 502}, false},
		{"a reset is an error", kissmetricstest.Fault{Cut: kissmetricstest.CutReset}, seen{err: isReset}, false},
		{"a reset of a recorded request", kissmetricstest.Fault{Cut: kissmetricstest.CutReset, Recorded: true}, seen{err: isReset}, true},
		{"a cut answer is an unexpected end", kissmetricstest.Fault{Cut: kissmetricstest.CutHalf}, seen{err: isUnexpectedEOF}, false},
		{"a cut answer of a recorded request", kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Recorded: true}, seen{err: isUnexpectedEOF}, true},
		{"a cut wins over a status", kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Status: 503, Delay: time.Nanosecond}, seen{err: isUnexpectedEOF}, false},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, way := range []string{"Fail", "FailWith"} {
				t.Run(fmt.Sprintf("%s by %s and %s", c.name, method, way), func(t *testing.T) {
					t.Parallel()
					server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
					if way == "Fail" {
						server.Fail(c.fault)
					} else {
						server.FailWith(func(*http.Request) *kissmetricstest.Fault { return &c.fault })
					}
					got, err := do(client, newRequest(t.Context(), t, method, server.URL, "/e?_k=key&_p=ann&_n=n"+first))
					if c.want.err != nil {
						require.Error(t, err)
						require.True(t, c.want.err(err), "%v", err)
					} else {
						require.NoError(t, err)
						require.Equal(t, c.want.status, got.status)
						require.Equal(t, c.want.retryAfter, got.header.Get("Retry-After"))
						if got.status == http.StatusOK {
							requirePicture(t, got)
						} else {
							require.Empty(t, got.body)
						}
					}
					assert.Len(t, server.Requests(), 1)
					assert.Empty(t, server.Ignored())
					if c.counted {
						assert.Len(t, server.Events("ann"), 1)
					} else {
						assert.Empty(t, server.Events("ann"))
					}

					server.FailWith(nil)
					requirePicture(t, get(t, client, server, "/e?_k=key&_p=bob&_n=n"+first))
					assert.Len(t, server.Events("bob"), 1, "a fault is over when it is over")
				})
			}
		}
	}
}

// net/http tries a GET again if its kept connection ends before an answer, so a
// reset there is met by no one but the server.
func TestResetOfAKeptConnectionIsRepeatedByNetHTTP(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.Fail(kissmetricstest.Fault{}, kissmetricstest.Fault{Cut: kissmetricstest.CutReset})
	get(t, client, server, "/e?_k=key&_p=ann&_n=one"+first)
	requirePicture(t, get(t, client, server, "/e?_k=key&_p=ann&_n=two"+first))
	assert.Len(t, server.Requests(), 3)
	assert.Equal(t, 2, server.Connections())
	assert.Len(t, server.Events("ann"), 2)
}

func TestFaultsAreMetInOrder(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		if r.Form.Get("_n") == "pass" {
			return nil
		}
		return &kissmetricstest.Fault{Status: 418}
	})
	server.Fail(kissmetricstest.Fault{Status: 500}, kissmetricstest.Fault{}, kissmetricstest.Fault{Status: 502})
	server.Fail(kissmetricstest.Fault{Status: 503})
	server.Fail()
	var got []int
	for _, name := range []string{"a", "b", "pass", "pass", "c", "pass"} {
		got = append(got, get(t, client, server, "/e?_k=key&_p=ann&_n="+name+next).status)
	}
	server.FailWith(nil)
	got = append(got, get(t, client, server, "/e?_k=key&_p=ann&_n=d"+next).status)
	assert.Equal(t, []int{500, 200, 502, 503, 418, 200, 200}, got)
	assert.Equal(t, events{event("b", 1, nil), event("pass", 1, nil), event("d", 1, nil)}, server.Events("ann"))
	assert.Len(t, server.Requests(), 7)
}

// delayed makes the server delay everything by an hour, and returns what is
// told of every request that is.
func delayed(server *kissmetricstest.Server) <-chan struct{} {
	arrived := make(chan struct{}, 64)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		arrived <- struct{}{}
		return &kissmetricstest.Fault{Delay: time.Hour}
	})
	return arrived
}

func TestDelayedRequestCountsThoughItsClientGivesUp(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			arrived := delayed(server)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			request := newRequest(ctx, t, method, server.URL, "/e?_k=key&_p=ann&_n=n"+first)
			failed := make(chan error, 1)
			go func() {
				_, err := do(client, request)
				failed <- err
			}()
			<-arrived
			cancel()
			require.ErrorIs(t, <-failed, context.Canceled)
			assert.Eventually(t, func() bool { return len(server.Events("ann")) == 1 }, time.Minute, time.Millisecond)
		})
	}
}

func TestCloseCutsDelayedRequestsOff(t *testing.T) {
	t.Parallel()
	const clients = 8
	server := kissmetricstest.Start()
	defer server.Close()
	arrived := delayed(server)
	failed := make(chan error, clients)
	for i := range clients {
		client := newHTTPClient(t)
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		request := newRequest(t.Context(), t, method, server.URL, "/e?_k=key&_p=ann&_n=n")
		go func() {
			_, err := do(client, request)
			failed <- err
		}()
	}
	for range clients {
		<-arrived
	}
	server.Close()
	for range clients {
		require.Error(t, <-failed, "no answer may be taken for a success")
	}
	assert.Len(t, server.Requests(), clients, "what was seen is told after Close too")
}

func TestCloseTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t) // closes once more
	get(t, client, server, "/e?_k=key&_p=ann&_n=n"+first)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(server.Close)
	}
	wg.Wait()
	server.Close()
	_, err := do(client, newRequest(t.Context(), t, http.MethodGet, server.URL, "/e"))
	require.Error(t, err)
	assert.Len(t, server.Events("ann"), 1)
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
