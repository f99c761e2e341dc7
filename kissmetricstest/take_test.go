package kissmetricstest_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

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
	wideValue := strings.Repeat("é", 8192)
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
			name:       "a value of 8192 characters is kept",
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
			name:       "a value of 8193 characters is ignored alone",
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
