package collect_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const (
	at    = `"timestamp":"2026-03-02T09:40:00.358Z"`
	track = `{"type":"track","messageId":"m1","userId":"u","event":"E","properties":{"a":"b"},` + at + `}`
)

var second = time.Date(2026, time.March, 2, 9, 40, 0, 0, time.UTC)

func TestEveryPathTakesItsMessage(t *testing.T) {
	const user = `"userId":"u",` + at
	event := func(name string) kissmetrics.Record {
		return kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "u", Name: name, Time: second}
	}
	set := func(name string) kissmetrics.Record {
		return kissmetrics.Record{Kind: kissmetrics.KindProperties, Person: "u", Time: second, Properties: []kissmetrics.Property{{Name: name, Value: "1"}}}
	}
	alias := kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "p", Name: "u", Time: second}
	for path, test := range map[string]struct {
		body string
		want kissmetrics.Record
	}{
		"/v1/identify":     {`{"traits":{"a":"1"},` + user + `}`, set("a")},
		"/v1/i":            {`{"context":{"traits":{"a":"1"}},` + user + `}`, set("a")},
		"/v1/page":         {`{"name":"Home",` + user + `}`, event("Viewed Home page")},
		"/v1/p":            {`{"type":"page",` + user + `}`, event("Loaded a Page")},
		"/v1/screen":       {`{"name":"Home",` + user + `}`, event("Viewed Home screen")},
		"/v1/s":            {`{"type":"track",` + user + `}`, event("Loaded a Screen")}, // the path says what it is
		"/v1/track":        {`{"event":"E",` + user + `}`, event("E")},
		"/v1/t":            {"\n{ \"event\" : \"E\" , " + user + "\t}\n", event("E")},
		"/v1/group":        {`{"groupId":"1",` + user + `}`, set("Group - id")},
		"/v1/g":            {`{"groupId":"1",` + user + `}`, set("Group - id")},
		"/v1/alias":        {`{"previousId":"p",` + user + `}`, alias},
		"/v1/a":            {`{"previousId":"p",` + user + `}`, alias},
		"/v1/batch":        {`{"batch":[{"type":"track","event":"E",` + user + `}]}`, event("E")},
		"/v1/b":            {`{"batch":[{"type":"track","event":"E",` + user + `}]}`, event("E")},
		"/v1/import":       {`{"batch":[{"type":"track","event":"E",` + user + `}]}`, event("E")},
		"/beacon/v1/batch": {`{"batch":[{"type":"track","event":"E",` + user + `}]}`, event("E")},
	} {
		t.Run(path, func(t *testing.T) {
			r := newReceiver(t)
			a := r.do(t, path, test.body)
			assert.Equal(t, http.StatusOK, a.status, a.text)
			assert.Equal(t, `{"success":true}`, a.text)
			records := r.recorder.Records()
			for i := range records {
				if len(records[i].Properties) == 0 {
					records[i].Properties = nil
				}
				for j := range records[i].Properties {
					records[i].Properties[j].Literal = false
				}
			}
			assert.Equal(t, []kissmetrics.Record{test.want}, records)
			assert.Equal(t, []collect.Outcome{collect.Accepted}, r.outcomes())
		})
	}
}

func TestThePathSaysTheType(t *testing.T) {
	r := newReceiver(t)
	r.do(t, "/v1/track", `{"type":"page","messageId":"m","userId":"u","event":"E",`+at+`}`)
	require.Len(t, r.results, 1)
	assert.Equal(t, "track", r.results[0].Type)
}

func TestWriteKeys(t *testing.T) {
	body := `{"batch":[` + track + `]}`
	withKey := func(key string) string { return `{"writeKey":"` + key + `","batch":[` + track + `]}` }
	none := func(r *http.Request) { r.Header.Del("Authorization") }
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	query := func(key string) func(*http.Request) {
		return func(r *http.Request) { none(r); r.URL.RawQuery = "writeKey=" + key }
	}
	for name, test := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
	}{
		"Basic":                             {body, basic(writeKey, ""), 200},
		"Basic with a password":             {body, basic("another", "x"), 200},
		"in the body":                       {withKey(writeKey), none, 200},
		"in the query":                      {body, query(writeKey), 200},
		"none":                              {body, none, 401},
		"none, and no JSON":                 {"x", none, 401},
		"empty":                             {body, basic("", ""), 401},
		"wrong":                             {body, basic("wrong", ""), 401},
		"nearly right":                      {body, basic(writeKey[:len(writeKey)-1], ""), 401},
		"wrong in the body":                 {withKey("wrong"), none, 401},
		"wrong in the query":                {body, query("wrong"), 401},
		"wrong in the header beats right":   {withKey(writeKey), basic("wrong", ""), 401},
		"a header of another kind":          {withKey(writeKey), set("Authorization", "Bearer "+writeKey), 401},
		"a number in the body":              {`{"writeKey":1,"batch":[]}`, none, 401},
		"as the password":                   {body, basic("", writeKey), 401},
		"in the body of one message":        {`{"batch":[{"writeKey":"` + writeKey + `"}]}`, none, 401},
		"an escaped name and an escaped id": {`{"write\u004bey":"\u0061nother","batch":[]}`, none, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			a := r.do(t, "/v1/batch", test.body, test.change)
			assert.Equal(t, test.status, a.status, a.text)
			assert.NotContains(t, a.text, writeKey)
			if test.status == 401 {
				assert.Empty(t, r.recorder.Records())
				assert.Contains(t, a.header.Get("WWW-Authenticate"), "Basic")
			}
		})
	}
	r := newReceiver(t)
	a := r.do(t, "/v1/batch", body, basic("wrong", ""), set("Origin", "https://shop.example"))
	assert.Empty(t, a.header.Get("WWW-Authenticate"), "or a browser would ask the visitor for a password")
}

func TestBodiesThatAreNot(t *testing.T) {
	batch := `{"batch":[` + track + `]}`
	for name, test := range map[string]struct {
		path, body string
		change     func(*http.Request)
		status     int
	}{
		"nothing":                {"/v1/batch", ``, nil, 400},
		"no object":              {"/v1/batch", `[]`, nil, 400},
		"cut off":                {"/v1/batch", batch[:len(batch)-1], nil, 400},
		"cut off in a text":      {"/v1/batch", batch[:20], nil, 400},
		"something behind":       {"/v1/batch", batch + `x`, nil, 400},
		"no batch":               {"/v1/batch", `{}`, nil, 400},
		"null":                   {"/v1/batch", `{"batch":null}`, nil, 400},
		"a batch that is none":   {"/v1/batch", `{"batch":{}}`, nil, 400},
		"a list with no commas":  {"/v1/batch", `{"batch":[{} {}]}`, nil, 400},
		"a list with no end":     {"/v1/batch", `{"batch":[{},]}`, nil, 400},
		"a member with no name":  {"/v1/batch", `{batch:[]}`, nil, 400},
		"a member with no value": {"/v1/batch", `{"batch":}`, nil, 400},
		"not gzip":               {"/v1/batch", batch, set("Content-Encoding", "gzip"), 400},
		"gzip cut off":           {"/v1/batch", zipped(t, batch)[:40], set("Content-Encoding", "gzip"), 400},
		"too large":              {"/v1/batch", `{"batch":[` + strings.Repeat(" ", 1000) + `]}`, nil, 413},
		"too large once unzipped": {"/v1/batch", zipped(t, `{"batch":[`+strings.Repeat(" ", 100_000)+`]}`),
			set("Content-Encoding", "gzip"), 413},
		"too many messages": {"/v1/batch", `{"batch":[{},{},{},{}]}`, nil, 413},
		"another encoding":  {"/v1/batch", batch, set("Content-Encoding", "br"), 415},
		"another path":      {"/v1/merge", batch, nil, 404},
		"no path":           {"/", batch, nil, 404},
		"a GET":             {"/v1/batch", ``, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"OPTIONS":           {"/v1/batch", ``, func(r *http.Request) { r.Method = http.MethodOptions }, 405},
		"one that is none":  {"/v1/track", `{"batch":[` + track + `]}`, nil, 400},
		"an empty one":      {"/v1/track", `{}`, nil, 400},
		"with white space":  {"/v1/track", ` { } `, nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, collect.WithLimits(500, 3))
			if test.change == nil {
				test.change = func(*http.Request) {}
			}
			a := r.do(t, test.path, test.body, test.change)
			assert.Equal(t, test.status, a.status, a.text)
			assert.False(t, *a.body.Success)
			assert.NotEmpty(t, a.body.Error)
			assert.Empty(t, r.recorder.Records())
			assert.Equal(t, test.status == 405, a.header.Get("Allow") == "POST")
		})
	}
}

func TestBodyOfExactlyTheLimit(t *testing.T) {
	body := batch(track)
	for name, test := range map[string]struct {
		limit, status int
		zip           bool
	}{
		"as it is":                      {len(body), 200, false},
		"a byte beyond":                 {len(body) - 1, 413, false},
		"unzipped, where it is smaller": {len(body), 200, true},
		"unzipped, a byte beyond":       {len(body) - 1, 413, true},
	} {
		t.Run(name, func(t *testing.T) {
			sent, change := body, func(*http.Request) {}
			if test.zip {
				body := `{"batch":[` + track + `]}`
				sent, change = zipped(t, body), set("Content-Encoding", "gzip")
				if len(sent) > test.limit { // what is compressed must not be what is bounded
					test.limit += 1000
					padded := strings.Replace(body, "[", "["+strings.Repeat(" ", 1000), 1)
					sent = zipped(t, padded)
				}
			}
			r := newReceiver(t, collect.WithLimits(test.limit, 1))
			assert.Equal(t, test.status, r.do(t, "/v1/batch", sent, change).status)
		})
	}
}

func TestTextsWithEscapes(t *testing.T) {
	for _, text := range []string{`\\`, `\"`, `\\\"`, `\\\\`, `]}\\`} {
		r := newReceiver(t)
		a := r.do(t, "/v1/batch", batch(`{"type":"track","userId":"`+text+`","event":"A","x":"`+text+`",`+at+`}`, track))
		assert.Equal(t, `{"success":true}`, a.text, text)
		assert.Equal(t, []string{"A", "E"}, r.names())
	}
}

func TestAnswerToOneMessageSaysWhyAlone(t *testing.T) {
	a := newReceiver(t).do(t, "/v1/track", `{"userId":"u"}`)
	assert.Equal(t, `{"success":false,"error":"kissmetrics: invalid event: is missing"}`, a.text)
	a = newReceiver(t).do(t, "/v1/batch", `{"batch":[{"type":"track","userId":"u"},7]}`)
	assert.Equal(t, "kissmetrics: invalid event: is missing", a.body.Error, "of several, the first")
}

func TestGzip(t *testing.T) {
	r := newReceiver(t)
	for _, encoding := range []string{"gzip", "GZIP", "x-gzip"} { // and readers are used again
		a := r.do(t, "/v1/batch", zipped(t, `{"batch":[`+track+`]}`), set("Content-Encoding", encoding))
		assert.Equal(t, http.StatusOK, a.status, a.text)
	}
	assert.Equal(t, []string{"E"}, r.names())
}

func TestOneBadMessageNeitherLosesNorRepeatsTheOthers(t *testing.T) {
	body := `{"batch":[
		{"type":"track","messageId":"a","userId":"u","event":"A",` + at + `},
		{"type":"track","messageId":"b","userId":"u",` + at + `},
		[{"type":"track","messageId":"c","userId":"u","event":"C",` + at + `}],
		7,
		{"type":"whatever","messageId":"` + strings.Repeat("e", 200) + `","userId":"u"},
		{"type":"track","messageId":"f","userId":"u","event":"F",` + at + `}]}`
	r := newReceiver(t)
	a := r.do(t, "/v1/batch", body)
	assert.Equal(t, http.StatusOK, a.status, "or an SDK would drop or repeat all of it")
	assert.False(t, *a.body.Success)
	assert.Equal(t, 2, a.body.Accepted)
	assert.Equal(t, 4, a.body.Rejected)
	require.Len(t, a.body.Errors, 4)
	assert.Equal(t, 1, a.body.Errors[0].Index)
	assert.Equal(t, "b", a.body.Errors[0].MessageID)
	assert.Equal(t, "kissmetrics: invalid event: is missing", a.body.Errors[0].Error)
	assert.Contains(t, a.body.Errors[1].Error, "is not a JSON object")
	assert.Equal(t, 3, a.body.Errors[2].Index)
	assert.Len(t, a.body.Errors[3].MessageID, 100, "what is echoed is bounded")
	assert.Equal(t, []string{"A", "F"}, r.names())
	assert.Equal(t, []collect.Outcome{collect.Accepted, collect.Refused, collect.Refused, collect.Refused, collect.Refused, collect.Accepted}, r.outcomes())

	a = r.do(t, "/v1/batch", `{"batch":[{"type":"track","userId":"u"},{}]}`)
	assert.Equal(t, http.StatusBadRequest, a.status, "nothing was accepted")
	assert.Equal(t, 2, a.body.Rejected)
	a = r.do(t, "/v1/batch", `{"batch":[]}`)
	assert.Equal(t, `{"success":true}`, a.text)
	assert.Equal(t, http.StatusOK, a.status)
}

func TestWhatSDKsWriteThatIsNoJSONLosesNothing(t *testing.T) {
	message := func(value string) string {
		return `{"batch":[{"type":"track","messageId":"a","userId":"u","event":"A","properties":{"x":` + value + `,"y":1},` + at + `},` + track + `],"writeKey":"` + writeKey + `"}`
	}
	for name, test := range map[string]struct{ body, want string }{
		"Python's NaN":                 {message(`NaN`), ""},
		"Python's infinity":            {message(`-Infinity`), ""},
		"a line's end in PHP's text":   {message("\"a\nb\""), "a\nb"},
		".NET's mark at the beginning": {"\ufeff" + message(`"NaN"`), "NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			a := r.do(t, "/v1/batch", test.body, func(r *http.Request) { r.Header.Del("Authorization") })
			assert.Equal(t, http.StatusOK, a.status, a.text)
			assert.Contains(t, r.names(), "E", "the other message")
			if test.want != "" {
				assert.Equal(t, test.want, r.recorder.Records()[0].Properties[0].Value)
			}
		})
	}
}

func TestFailuresListedAreBounded(t *testing.T) {
	r := newReceiver(t)
	a := r.do(t, "/v1/batch", `{"batch":[`+track+strings.Repeat(`,{}`, 1000)+`]}`)
	assert.Equal(t, 1000, a.body.Rejected)
	assert.Len(t, a.body.Errors, 100)
	assert.Len(t, r.outcomes(), 1001, "the function is told of all")
}

func TestBatchGivesItsMessagesWhatTheyLack(t *testing.T) {
	r := newReceiver(t)
	a := r.do(t, "/v1/batch", `{"context":{"traits":{"plan":"pro"}},"integrations":{"All":false},"batch":[
		{"type":"identify","userId":"a","integrations":{"All":true},`+at+`},
		{"type":"identify","userId":"b","integrations":{"Kiss Metrics":"true"},"traits":{"plan":"free"},`+at+`},
		{"type":"identify","userId":"c","integrations":{"kissmetrics":{"x":false}},"context":{"traits":{"plan":"own"}},`+at+`},
		{"type":"identify","userId":"d",`+at+`},
		{"type":"identify","userId":"e","integrations":{"All":true,"Kiss Metrics":false},`+at+`},
		{"type":"identify","userId":"f","integrations":{},`+at+`},
		{"type":"identify","userId":"g","integrations":null,`+at+`}]}`)
	assert.Equal(t, http.StatusOK, a.status, a.text)
	plans := map[string]string{}
	for _, record := range r.recorder.Records() {
		plans[record.Person] = record.Properties[0].Value
	}
	assert.Equal(t, map[string]string{"a": "pro", "b": "free", "c": "own"}, plans)
	assert.Equal(t, []collect.Outcome{collect.Accepted, collect.Accepted, collect.Accepted, collect.Ignored, collect.Ignored, collect.Ignored, collect.Ignored}, r.outcomes())
}

func TestTransformOptions(t *testing.T) {
	r := newReceiver(t, collect.WithTransform(kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen}))
	r.do(t, "/v1/track", track)
	require.Len(t, r.recorder.Records(), 1)
	assert.Equal(t, "E-a", r.recorder.Records()[0].Properties[0].Name)
}

func TestCORS(t *testing.T) {
	const shop = "https://shop.example"
	preflight := func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header.Del("Authorization")
		r.Header.Set("Access-Control-Request-Method", "POST")
	}
	r := newReceiver(t)
	a := r.do(t, "/v1/track", track, set("Origin", shop))
	assert.Equal(t, http.StatusOK, a.status)
	assert.Empty(t, a.header.Get("Access-Control-Allow-Origin"), "off by default")

	r = newReceiver(t, collect.WithOrigins("https://other.example", shop))
	a = r.do(t, "/v1/track", "", set("Origin", shop), preflight)
	assert.Equal(t, http.StatusNoContent, a.status)
	assert.Equal(t, shop, a.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "POST", a.header.Get("Access-Control-Allow-Methods"))
	for _, name := range []string{"Authorization", "Content-Type", "Content-Encoding", "AnonymousId"} {
		assert.Contains(t, a.header.Get("Access-Control-Allow-Headers"), name)
	}
	assert.Equal(t, "Origin", a.header.Get("Vary"))
	a = r.do(t, "/v1/track", track, set("Origin", shop))
	assert.Equal(t, shop, a.header.Get("Access-Control-Allow-Origin"))
	a = r.do(t, "/v1/track", "x", set("Origin", shop))
	assert.Equal(t, shop, a.header.Get("Access-Control-Allow-Origin"), "of errors too, or pages could not tell them")
	for _, origin := range []string{"https://evil.example", "https://shop.example.evil.example", "null", ""} {
		a = r.do(t, "/v1/track", "", set("Origin", origin), preflight)
		assert.Empty(t, a.header.Get("Access-Control-Allow-Origin"), origin)
		assert.Equal(t, "Origin", a.header.Get("Vary"))
	}
	r = newReceiver(t, collect.WithOrigins("*"))
	a = r.do(t, "/v1/track", track, set("Origin", shop))
	assert.Equal(t, shop, a.header.Get("Access-Control-Allow-Origin"))
}

func TestEveryWrongOptionIsReported(t *testing.T) {
	_, err := collect.NewHandler((*kissmetricstest.Recorder)(nil), nil,
		collect.WithOrigins("shop.example", "https://shop.example/", "*"), collect.WithLimits(0, 1), collect.WithReadTimeout(0),
		collect.WithClockStep(-1), collect.WithTransform(kissmetrics.TransformOptions{Prefix: 9}),
		collect.WithOnResult(nil), collect.WithLogger(nil))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, want := range []string{"option is nil", "the sender is nil", "WithWriteKeys is required", `"shop.example"`, `"https://shop.example/"`,
		"WithLimits", "WithReadTimeout", "WithClockStep", "prefix style 9", "WithOnResult", "WithLogger"} {
		assert.ErrorContains(t, err, want)
	}
	_, err = collect.NewHandler(&kissmetricstest.Recorder{}, collect.WithWriteKeys(writeKey), collect.WithClockStep(1500*time.Millisecond))
	require.ErrorContains(t, err, "whole number of seconds")
	_, err = collect.NewHandler(nil, collect.WithWriteKeys(writeKey, ""))
	require.ErrorContains(t, err, "a key is empty")
	require.ErrorContains(t, err, "the sender is nil")
	assert.NotContains(t, err.Error(), writeKey)
}

func TestClocks(t *testing.T) {
	// A batch with a messageId and a time, sent by a clock that is off.
	for name, test := range map[string]struct {
		path, sentAt, times string
		off                 time.Duration // of the sender's clock
		want                time.Duration // by which the time is corrected
		options             []collect.Option
	}{
		"a right clock":                 {off: 0, want: 0},
		"off by seconds":                {off: 40 * time.Second, want: 0},
		"behind by nearly a step":       {off: -9*time.Minute - 59*time.Second, want: 0},
		"behind by a step":              {off: -10 * time.Minute, want: 10 * time.Minute},
		"behind by hours":               {off: -3*time.Hour - 4*time.Minute, want: 3 * time.Hour},
		"ahead by nearly two steps":     {off: 19*time.Minute + 59*time.Second, want: -10 * time.Minute},
		"ahead by a year":               {off: 365 * 24 * time.Hour, want: -365 * 24 * time.Hour},
		"another step":                  {off: -40 * time.Second, want: 30 * time.Second, options: []collect.Option{collect.WithClockStep(30 * time.Second)}},
		"no step":                       {off: -40 * time.Hour, want: 0, options: []collect.Option{collect.WithClockStep(0)}},
		"history":                       {path: "/v1/import", off: -40 * time.Hour, want: 0},
		"RudderStack's form":            {times: "originalTimestamp", off: -time.Hour, want: time.Hour},
		"a time that the caller set":    {times: "both", off: -time.Hour, want: 0},
		"the message's sentAt wins":     {sentAt: "message", off: -time.Hour, want: time.Hour},
		"nobody says when it was sent":  {sentAt: "none", off: -time.Hour, want: 0},
		"sentAt in milliseconds":        {sentAt: "number", off: -time.Hour, want: time.Hour},
		"sentAt as segment's old Go":    {sentAt: "+0000", off: -time.Hour, want: time.Hour},
		"the message's sentAt is null":  {sentAt: "null", off: -time.Hour, want: time.Hour},
		"the message's sentAt is Go's":  {sentAt: "zero in the message", off: -time.Hour, want: time.Hour},
		"the other time is no time":     {times: "garbage", off: -time.Hour, want: time.Hour},
		"a sentAt that is none":         {sentAt: "wrong", off: -time.Hour, want: 0},
		"a sentAt that Go has not set":  {sentAt: "zero", off: -time.Hour, want: 0},
		"a timestamp that Go has not":   {times: "zero", off: -time.Hour, want: time.Hour},
		"a timestamp that is null":      {times: "null", off: -time.Hour, want: time.Hour},
		"a timestamp that is empty":     {times: "empty", off: -time.Hour, want: time.Hour},
		"a clock of another century":    {off: 101 * 365 * 24 * time.Hour, want: 24*time.Hour - 101*365*24*time.Hour}, // the reception
		"a message without a messageId": {sentAt: "no id", off: -time.Hour, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(27 * 365 * 24 * time.Hour) // the bubble begins in 2000, before which nothing is kept
				now := time.Now().UTC()
				format := func(t time.Time) string { return `"` + t.Format("2006-01-02T15:04:05.000Z") + `"` }
				happened := now.Add(test.off - 24*time.Hour) // by the sender's clock
				sent := `"sentAt":` + format(now.Add(test.off))
				message, envelope := `"messageId":"m",`, sent+","
				switch test.sentAt {
				case "message":
					message, envelope = message+sent+",", `"sentAt":`+format(now)+","
				case "number":
					envelope = fmt.Sprintf(`"sentAt":%d,`, now.Add(test.off).UnixMilli())
				case "+0000":
					envelope = `"sentAt":"` + now.Add(test.off).Format("2006-01-02T15:04:05-0700") + `",`
				case "null":
					message += `"sentAt":null,`
				case "zero in the message":
					message += `"sentAt":"0001-01-01T00:00:00Z",`
				case "none":
					envelope = ""
				case "zero":
					envelope = `"sentAt":"0001-01-01T00:00:00Z",`
				case "wrong":
					envelope = `"sentAt":"yesterday",`
				case "no id":
					message = ""
				}
				switch test.times {
				case "":
					message += `"timestamp":` + format(happened)
				case "zero":
					message += `"timestamp":"0001-01-01T00:00:00Z","originalTimestamp":` + format(happened)
				case "garbage":
					message += `"originalTimestamp":"garbage","timestamp":` + format(happened)
				case "null", "empty":
					message += map[string]string{"null": `"timestamp":null,`, "empty": `"timestamp":"",`}[test.times] + `"originalTimestamp":` + format(happened)
				case "both":
					message += `"originalTimestamp":` + format(now) + `,"timestamp":` + format(happened)
				default:
					message += `"` + test.times + `":` + format(happened)
				}
				path := "/v1/batch"
				if test.path != "" {
					path = test.path
				}
				r := newReceiver(t, test.options...)
				for _, kind := range []string{"track", "identify", "page", "screen", "group", "alias"} {
					a := r.do(t, path, `{`+envelope+`"batch":[{"type":"`+kind+`","userId":"u","event":"E","groupId":"g","previousId":"p",`+message+`}]}`)
					require.Equal(t, http.StatusOK, a.status, a.text)
				}
				records := r.recorder.Records()
				require.Len(t, records, 6)
				for _, record := range records {
					assert.Equal(t, happened.Add(test.want).Truncate(time.Second), record.Time, record.Kind)
				}
			})
		})
	}
}

func TestMessageWithNoTimeHappensWhenItIsReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 365 * 24 * time.Hour)
		r := newReceiver(t)
		body := `{"batch":[{"type":"track","userId":"u","event":"E"}]}`
		require.Equal(t, http.StatusOK, r.do(t, "/v1/batch", body).status)
		assert.Equal(t, time.Now().UTC(), r.recorder.Records()[0].Time)
		a := r.do(t, "/v1/import", body)
		assert.Equal(t, http.StatusBadRequest, a.status, "history is not now")
		assert.Contains(t, a.body.Error, "timestamp")
	})
}
