package collect_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
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
	encoded := func(user string) func(*http.Request) {
		return set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user)))
	}
	query := func(key string) func(*http.Request) {
		return func(r *http.Request) { none(r); r.URL.RawQuery = "writeKey=" + key }
	}
	for name, test := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
	}{
		"Basic":                                   {body, basic(writeKey, ""), 200},
		"Basic with a password":                   {body, basic("another", "x"), 200},
		"Basic without a colon":                   {body, encoded(writeKey), 200},
		"Basic in small letters":                  {body, set("Authorization", "basic "+base64.StdEncoding.EncodeToString([]byte(writeKey+":"))), 200},
		"Basic without a colon, wrong":            {withKey(writeKey), encoded("wrong"), 401},
		"Basic, not encoded":                      {body, set("Authorization", "Basic "+writeKey+"!"), 401},
		"Basic, not encoded, right in the body":   {withKey(writeKey), set("Authorization", "Basic "+writeKey+"!"), 200},
		"in the body":                             {withKey(writeKey), none, 200},
		"in the query":                            {body, query(writeKey), 200},
		"none":                                    {body, none, 401},
		"none, and no JSON":                       {"x", none, 400},
		"in a body that is cut off":               {withKey(writeKey)[:60], none, 400},
		"wrong, and no JSON":                      {"x", basic("wrong", ""), 401},
		"empty":                                   {body, basic("", ""), 401},
		"empty in the header, right in the body":  {withKey(writeKey), basic("", ""), 200},
		"empty in the header, right in the query": {body, func(r *http.Request) { query(writeKey)(r); r.SetBasicAuth("", "") }, 200},
		"wrong":                                 {body, basic("wrong", ""), 401},
		"nearly right":                          {body, basic(writeKey[:len(writeKey)-1], ""), 401},
		"wrong in the body":                     {withKey("wrong"), none, 401},
		"wrong in the query":                    {body, query("wrong"), 401},
		"wrong in the header beats right":       {withKey(writeKey), basic("wrong", ""), 401},
		"a header of another kind says nothing": {withKey(writeKey), set("Authorization", "Bearer x"), 200},
		"a key in a header of another kind":     {body, set("Authorization", "Bearer "+writeKey), 401},
		"the last member of the body":           {`{"batch":[{"a":{"writeKey":"x"}}],"writeKey":"` + writeKey + `"}`, none, 200},
		"a number in the body":                  {`{"writeKey":1,"batch":[]}`, none, 401},
		"as the password":                       {body, basic("", writeKey), 401},
		"in the body of one message":            {`{"batch":[{"writeKey":"` + writeKey + `"}]}`, none, 401},
		"an escaped name and an escaped id":     {`{"write\u004bey":"\u0061nother","batch":[]}`, none, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			a := r.do(t, "/v1/batch", test.body, test.change)
			assert.Equal(t, test.status, a.status, a.text)
			assert.NotContains(t, a.text, writeKey)
			if test.status == 401 {
				assert.Empty(t, r.recorder.Records())
				assert.Contains(t, a.header.Get("WWW-Authenticate"), "Basic")
				assert.Equal(t, "invalid write key", a.body.Message, "phones stop at these very words")
				assert.Equal(t, "invalid_write_key", a.body.Code)
			}
		})
	}
	r := newReceiver(t, collect.WithOrigins("https://shop.example"))
	a := r.do(t, "/v1/batch", body, basic("wrong", ""), set("Origin", "https://shop.example"))
	assert.Equal(t, http.StatusUnauthorized, a.status)
	assert.Empty(t, a.header.Get("WWW-Authenticate"), "or a browser would ask the visitor for a password")
	a = r.do(t, "/v1/batch", body, basic("wrong", ""), set("Sec-Fetch-Mode", "cors"))
	assert.Equal(t, http.StatusUnauthorized, a.status)
	assert.Empty(t, a.header.Get("WWW-Authenticate"), "also where a page of this host asks, which names no origin")
}

func TestBodiesThatAreNotAccepted(t *testing.T) {
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
		"gzip cut off":           {"/v1/batch", zipped(t, batch)[:40], set("Content-Encoding", "gzip"), 400},
		"too large":              {"/v1/batch", `{"batch":[` + strings.Repeat(" ", 1000) + `]}`, nil, 413},
		"too large once unzipped": {"/v1/batch", zipped(t, `{"batch":[`+strings.Repeat(" ", 100_000)+`]}`),
			set("Content-Encoding", "gzip"), 413},
		"too many messages": {"/v1/batch", `{"batch":[{},{},{},{}]}`, nil, 413},
		"another encoding":  {"/v1/batch", "\x0b\x02\x80" + batch, set("Content-Encoding", "br"), 415},
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
			assert.Equal(t, a.body.Error, a.body.Message)
			assert.NotEmpty(t, a.body.Code)
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
	assert.Equal(t, `{"success":false,"error":"kissmetrics: invalid event: is missing","code":"invalid_message","message":"kissmetrics: invalid event: is missing"}`, a.text)
	assert.Equal(t, http.StatusBadRequest, a.status)
	a = newReceiver(t).do(t, "/v1/batch", `{"batch":[{"type":"track","userId":"u"},7]}`)
	assert.Equal(t, "kissmetrics: invalid event: is missing", a.body.Error, "of several, the first")
}

func TestABodySaysItselfWhetherItIsGzipped(t *testing.T) {
	for name, test := range map[string]struct{ body, encoding string }{
		"unpacked on the way, with the header":    {`{"batch":[` + track + `]}`, "gzip"},
		"gzipped, and the header lost on the way": {zipped(t, `{"batch":[`+track+`]}`), ""},
		"a byte order mark":                       {"\ufeff" + `{"batch":[` + track + `]}`, ""},
		"unpacked, of another encoding":           {" " + `{"batch":[` + track + `]}`, "br"},
		"an encoding that is none":                {`{"batch":[` + track + `]}`, "UTF-8"},
		"several, of which one is none":           {zipped(t, `{"batch":[`+track+`]}`), "gzip, identity"},
		"a byte order mark, and another encoding": {"\ufeff" + `{"batch":[` + track + `]}`, "deflate"},
		"a byte order mark, gzipped":              {zipped(t, "\ufeff"+`{"batch":[`+track+`]}`), "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			a := r.do(t, "/v1/batch", test.body, set("Content-Encoding", test.encoding))
			assert.Equal(t, `{"success":true}`, a.text)
			assert.Equal(t, []string{"E"}, r.names())
		})
	}
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
	assert.Equal(t, http.StatusOK, a.status, "nothing was accepted, and a repeat would not help")
	assert.False(t, *a.body.Success)
	assert.Equal(t, "invalid_messages", a.body.Code)
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

// TestContextTraitsOfAnyKind gives a batch traits that are no object: they are left
// out, and told where they would have said something.
func TestContextTraitsOfAnyKind(t *testing.T) {
	for traits, adjusted := range map[string]bool{
		`null`: false, `[]`: false, `""`: false, `{}`: false, `{"a":1}`: false,
		`false`: true, `true`: true, `0`: true, `5`: true, `-1.5e3`: true, `"x"`: true, `"{}"`: true, `[1]`: true, `[{"a":1}]`: true,
	} {
		t.Run(traits, func(t *testing.T) {
			r := newReceiver(t)
			a := r.do(t, "/v1/batch", `{"batch":[{"type":"identify","userId":"u",`+at+`},`+track+`],"context":{"traits":`+traits+`}}`)
			assert.Equal(t, http.StatusOK, a.status, a.text)
			single := newReceiver(t)
			single.do(t, "/v1/identify", `{"userId":"u",`+at+`,"context":{"traits":`+traits+`}}`)
			require.Len(t, single.results, 1)
			require.Len(t, r.results, 2)
			assert.Equal(t, single.results[0].Adjustments, r.results[0].Adjustments, "as of a message with a context of its own")
			assert.Equal(t, adjusted, len(r.results[0].Adjustments) > 0)
			assert.Equal(t, single.recorder.Records()[0], r.recorder.Records()[0])
		})
	}
}

func TestTransformOptions(t *testing.T) {
	r := newReceiver(t, collect.WithTransform(kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen}))
	r.do(t, "/v1/track", track)
	require.Len(t, r.recorder.Records(), 1)
	assert.Equal(t, "E-a", r.recorder.Records()[0].Properties[0].Name)
}

func TestEveryWrongOptionIsReported(t *testing.T) {
	_, err := collect.NewHandler((*kissmetricstest.Recorder)(nil), nil,
		collect.WithOrigins("shop.example", "https://shop.example/", "*"), collect.WithLimits(0, 1), collect.WithReadTimeout(0),
		collect.WithClockStep(-1), collect.WithTransform(kissmetrics.TransformOptions{Prefix: 9}),
		collect.WithOnResult(nil), collect.WithLogger(nil))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, want := range []string{"option is nil", "the sender of \"WithWriteKeys\" is nil", "WithWriteKeys or WithSources is required", `"shop.example"`, `"https://shop.example/"`,
		"WithLimits", "WithReadTimeout", "WithClockStep", "unknown prefix style 9", "WithOnResult", "WithLogger"} {
		assert.ErrorContains(t, err, want)
	}
	_, err = collect.NewHandler(&kissmetricstest.Recorder{}, collect.WithWriteKeys(writeKey), collect.WithClockStep(1500*time.Millisecond))
	require.ErrorContains(t, err, "whole number of seconds")
	_, err = collect.NewHandler(nil, collect.WithWriteKeys(writeKey, ""))
	require.ErrorContains(t, err, "is empty, or twice")
	require.ErrorContains(t, err, "is nil")
	assert.NotContains(t, err.Error(), writeKey)
}
