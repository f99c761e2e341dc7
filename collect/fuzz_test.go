package collect_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// kindsOfJSON are values of every kind, for where one of a certain kind is expected.
func kindsOfJSON() []string {
	return []string{
		`null`, `true`, `false`, `0`, `-1.5e3`, `""`, `" "`, `"x"`, `"{}"`, `"2026-03-02T09:40:00Z"`, `[]`, `[null]`, `["x",{}]`, `{}`, `{"a":1}`,
		`{"traits":{"a":1}}`, `{"library":{"name":"analytics-go"}}`, `{"All":false}`, `NaN`, "\"\x01\"", `1e400`, `"\ud83d"`,
	}
}

// oddBodies are bodies that reach what the handler looks at, with a value of every kind
// in every place.
func oddBodies() (bodies []string) {
	for _, v := range kindsOfJSON() {
		for _, name := range []string{
			"type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "name", "category", "properties", "traits", "context",
			"integrations", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "user_id", "anonymous_id", "previous_id", "group_id",
			"original_timestamp", "sent_at", "batch", "writeKey",
		} {
			member := `"` + name + `":` + v
			bodies = append(bodies,
				`{"type":"track","messageId":"m","userId":"u","event":"e",`+at+`,`+member+`}`,
				`{"batch":[{"type":"identify","userId":"u"},{"type":"identify","messageId":"m","userId":"u",`+member+`},`+track+`],`+member+`}`)
		}
		bodies = append(bodies, v, `{"batch":[`+v+`]}`, `{"type":"track","event":"e","user_id":"u","context_traits_a":`+v+`,"Products":`+v+`,"TIMESTAMP":`+v+`}`,
			`{"batch":[{"type":"identify","userId":"u"}],"context":{"traits":`+v+`,"library":`+v+`,"userAgent":`+v+`}}`)
	}
	return append(bodies, ``, track, batch(track), batch(event("A"), bare("B"), bare("C"), `7`, `{"type":"x"}`), "\ufeff"+batch(track),
		batch(bare("A"), bare("A")), batch(`{"type":"alias","userId":"u","previousId":"a"}`, `{"type":"group","userId":"u","groupId":1}`, `{"type":"screen","anonymousId":"a"}`),
		`{"b\u0061tch":[],"batch":[{"\u0074ype":"track","userId":1,"event":"E\"","timestamp":1579847342}]}`,
		`{"batch":[{"event_text":"E","event":"e","anonymous_id":"a","products":"[{\"sku\":1}]","uuid_ts":1},{"previous_id":"p","user_id":"u"}],"sentAt":"2020-01-01T00:00:00Z"}`,
		`{"writeKey":"`+writeKey+`","batch":[`+track+`]}`, strings.Repeat(`[`, 2000), `{"batch":[`+strings.Repeat(`{"a":`, 1100)+`1`+strings.Repeat(`}`, 1100)+`]}`)
}

// FuzzHandler: whatever is asked, by whatever method and page, there is an answer: what
// it says of the messages is what the sender has taken, and after a failure a repeat
// brings all that is missing, and nothing twice.
func FuzzHandler(f *testing.F) {
	for i, body := range oddBodies() {
		if i%9 == 0 { // the test below has all; more would take all the time of a short fuzz
			f.Add(http.MethodPost, oddPath(i, body), "", "", body, uint8(i%6)) //nolint:gosec // small
		}
	}
	f.Add(http.MethodPost, "/v1/batch", "", "", zipped(f, batch(track)), uint8(0))
	f.Add(http.MethodPost, "/v1/batch", "", "", zipped(f, batch(track))[:30], uint8(0))
	origins := []string{"", "https://shop.example", "https://collect.example", "null", "://", "\x00"}
	queries := []string{"", "writeKey=" + writeKey, "writeKey=wrong", "%zz", "writeKey=&writeKey=a"}
	for i, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodDelete, "", "get"} {
		for j, path := range []string{"/v1/m", "/rsaMetrics", "/sourceConfig", "/v1/projects/" + writeKey + "/settings", "/projects/a/b/settings", "/v1/track", "/", "", "/v1/projects//settings", "/\x00"} {
			f.Add(method, path, queries[(i+j)%len(queries)], origins[(i+2*j)%len(origins)], track, uint8(0))
		}
	}
	f.Fuzz(requireSoundAnswer)
}

// oddPath returns a path that takes a body.
func oddPath(i int, body string) string {
	if strings.Contains(body, `"batch"`) {
		return "/v1/batch"
	}
	paths := []string{"/v1/track", "/v1/batch", "/v1/import", "/v1/identify", "/v1/i", "/v1/alias", "/v1/page", "/v1/screen", "/v1/group", "/b", "//v1//b/", "/beacon/v1/batch"}
	return paths[i%len(paths)]
}

func TestAValueOfEveryKindInEveryPlace(t *testing.T) {
	for i, body := range oddBodies() {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			requireSoundAnswer(t, http.MethodPost, oddPath(i, body), "", "", body, uint8(i%6)) //nolint:gosec // small
		})
	}
}

// requireSoundAnswer is what [FuzzHandler] requires. Of the calls of the sender every
// so many fail, or none.
func requireSoundAnswer(t *testing.T, method, path, query, origin, body string, failing uint8) {
	r := &receiver{}
	// Every second, third … call fails, or none.
	calls := 0
	s := &sender{next: &r.recorder, fail: func([]kissmetrics.Record) error {
		if calls++; failing > 0 && calls%int(failing) == 0 {
			return []error{kissmetrics.ErrQueueFull, kissmetrics.ErrClosed}[failing%2]
		}
		return nil
	}}
	options := []collect.Option{
		collect.WithLimits(1<<16, 50), collect.WithPublicURL("https://collect.example"), collect.WithShortPaths(), collect.WithOrigins("https://shop.example"),
		collect.WithTransform(kissmetrics.TransformOptions{AliasOnIdentify: failing&1 == 1, Strict: failing&6 == 6}),
	}
	r.with(t, s, options...)
	var w *httptest.ResponseRecorder
	serve := func(r *receiver) int {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		request.Method, request.URL.Path, request.URL.RawQuery = method, path, query
		request.Header.Set("Origin", origin)
		if query == "" { // or the key is there, or in the body
			request.SetBasicAuth(writeKey, "")
		}
		w = httptest.NewRecorder()
		r.ServeHTTP(w, request)
		return w.Code
	}
	code := serve(r)
	if code == http.StatusNoContent { // what SDKs say of themselves, and what browsers ask before
		require.Empty(t, w.Body.Bytes())
	} else {
		require.True(t, json.Valid(w.Body.Bytes()), "every other answer is JSON")
	}
	if method != http.MethodPost || code == http.StatusNoContent {
		require.Empty(t, r.results)
		require.Empty(t, r.recorder.Records())
		return
	}

	var a struct {
		Success            bool
		Accepted, Rejected int
		Errors             []struct{ Index int }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	records, counts := 0, map[collect.Outcome]int{}
	for i, result := range r.results {
		counts[result.Outcome]++
		if result.Outcome == collect.Accepted {
			records += result.Records
		}
		if result.Outcome == collect.Refused || result.Outcome == collect.Deferred {
			require.Error(t, result.Err, i)
		}
	}
	require.Len(t, r.recorder.Records(), records, "what is said to be accepted is what the sender took")
	good := counts[collect.Accepted] + counts[collect.Repeated] + counts[collect.Ignored]
	switch code {
	case http.StatusOK:
		require.Zero(t, counts[collect.Deferred])
		require.Equal(t, counts[collect.Refused] == 0, a.Success)
		require.Equal(t, counts[collect.Refused], a.Rejected)
		require.Len(t, a.Errors, a.Rejected)
		require.True(t, good > 0 || len(r.results) == 0 || !a.Success, "never a success where nothing was accepted")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		require.NotZero(t, counts[collect.Deferred])
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		// A repeat takes what is left, and nothing twice: what the sender has in
		// the end counts for as much as what a sender without faults has at once.
		s.fail = nil
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, serve(r))
		clean := newReceiver(t, options...)
		serve(clean)
		require.Equal(t, distinct(clean.recorder.Records()), distinct(r.recorder.Records()))
	default:
		require.False(t, a.Success)
		require.Empty(t, r.recorder.Records(), "nothing was accepted")
	}
}

// distinct counts the records that Kissmetrics would keep.
func distinct(records []kissmetrics.Record) int {
	seen := map[string]bool{}
	for _, record := range records {
		seen[record.Kind.Path()+record.Values().Encode()] = true
	}
	return len(seen)
}
