package kissmetrics_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ok has a time of its own, because the clock of a synctest bubble starts before
// there was Kissmetrics.
var ok = kissmetrics.Track{UserID: "u", Event: "e", Timestamp: second}

// order is a message of three records: an event and two products.
var order = kissmetrics.Track{UserID: "u", Event: "Order Completed", Timestamp: second, Properties: kissmetrics.Properties{
	"products": []any{map[string]any{"sku": "a"}, map[string]any{"sku": "b"}},
}}

// answer is what a scripted server does with one request.
type answer struct {
	status int
	header http.Header
	err    error
}

// script is a Doer that gives one answer after the other, the last one again
// and again, and notes when it was asked for which path.
type script struct {
	answers []answer
	times   []time.Time
	paths   []string
}

func (s *script) Do(r *http.Request) (*http.Response, error) {
	next := s.answers[min(len(s.times), len(s.answers)-1)]
	s.times = append(s.times, time.Now())
	s.paths = append(s.paths, r.URL.Path)
	if next.err != nil {
		return nil, next.err
	}
	return &http.Response{StatusCode: next.status, Header: next.header, Body: io.NopCloser(strings.NewReader("GIF"))}, nil
}

// waits returns the times between the requests.
func (s *script) waits() []time.Duration {
	var waits []time.Duration
	for i := 1; i < len(s.times); i++ {
		waits = append(waits, s.times[i].Sub(s.times[i-1]))
	}
	return waits
}

func after(value string) http.Header { return http.Header{"Retry-After": {value}} }

func requireDelivery(t testing.TB, err error) *kissmetrics.DeliveryError {
	t.Helper()
	failed, ok := errors.AsType[*kissmetrics.DeliveryError](err)
	require.True(t, ok, "%v is no DeliveryError", err)
	return failed
}

func TestCloseLetsGoOfIdleConnections(t *testing.T) {
	closed := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	server.Start()
	defer server.Close()
	client := newClient(t, kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, client.Track(t.Context(), ok))
	require.NoError(t, client.Close(t.Context()))
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("the connection is still open")
	}
}

func TestSomeOfSeveralRecordsFail(t *testing.T) {
	records, _, err := kissmetrics.Transform(order, time.Time{}, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	tests := map[string]struct {
		answers     []answer
		delivered   []int
		undelivered []int
		kind        kissmetrics.FailureKind
		status      int // the failure is of one record as a whole
	}{
		"what is refused does not hold up the others": {[]answer{{status: 400}, {status: 200}, {status: 403}}, []int{1}, []int{0, 2}, kissmetrics.FailureRefused, 400},
		"an outage does":    {[]answer{{status: 200}, {status: 503}, {status: 503}}, []int{0}, []int{1, 2}, kissmetrics.FailureUnavailable, 503},
		"both":              {[]answer{{status: 400}, {status: 200}, {status: 503}}, []int{1}, []int{0, 2}, kissmetrics.FailureUnavailable, 503},
		"both, and no more": {[]answer{{status: 400}, {err: io.EOF}, {status: 200}}, nil, []int{0, 1, 2}, kissmetrics.FailureUnavailable, 0},
		"the first":         {[]answer{{err: io.EOF}, {err: io.EOF}}, nil, []int{0, 1, 2}, kissmetrics.FailureUnavailable, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey), kissmetrics.WithDoer(&script{answers: test.answers}), kissmetrics.WithMaxAttempts(1))
				require.NoError(t, err)
				given := append([]kissmetrics.Record(nil), records...)
				failed := requireDelivery(t, sender.Send(t.Context(), given))
				assert.Equal(t, records, given)
				pick := func(indexes []int) (picked []kissmetrics.Record) {
					for _, i := range indexes {
						picked = append(picked, records[i])
					}
					return picked
				}
				assert.Equal(t, test.kind, failed.Kind)
				assert.Equal(t, test.status, failed.StatusCode)
				assert.Equal(t, test.status == 503, strings.Contains(failed.Error(), "503"))
				assert.Equal(t, pick(test.delivered), failed.Delivered)
				assert.Empty(t, failed.Refused, "the tracking API refuses nothing itself")
				assert.Equal(t, pick(test.undelivered), failed.Undelivered)
				assert.True(t, failed.Retryable())
			})
		})
	}
}

func TestSendingAllAgainRepeatsNothing(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	server.Fail(
		kissmetricstest.Fault{},                            // the event is delivered,
		kissmetricstest.Fault{Status: 500, Recorded: true}, // the first product too, but the answer says no.
	)
	client := newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1))
	failed := requireDelivery(t, client.Track(t.Context(), order))
	assert.Len(t, failed.Delivered, 1)
	require.NoError(t, client.Track(t.Context(), order))
	assert.Len(t, server.Events("u"), 1)
	assert.Equal(t, []kissmetricstest.Value{{Time: second.Add(time.Second), Value: "a"}, {Time: second.Add(2 * time.Second), Value: "b"}},
		server.History("u", "sku"))
}

func TestInvalidRecordsAreNotSent(t *testing.T) {
	doer := &script{answers: []answer{{status: 200}}}
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey), kissmetrics.WithDoer(doer))
	require.NoError(t, err)
	good := kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "p", Name: "n", Time: second}
	requireField(t, "timestamp", sender.Send(t.Context(), []kissmetrics.Record{good, {Kind: kissmetrics.KindEvent, Person: "p", Name: "n"}}))
	assert.Empty(t, doer.times)
	require.NoError(t, sender.Send(t.Context(), nil))
}

func TestWireOfARequest(t *testing.T) {
	tests := map[string]struct {
		baseURL, path string
	}{
		"host":                   {"", "/e"},
		"slash":                  {"/", "/e"},
		"prefix":                 {"/km", "/km/e"},
		"prefix with a slash":    {"/km/v1/", "/km/v1/e"},
		"prefix that is escaped": {"/a%2Fb", "/a%2Fb/e"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got *http.Request
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
			defer server.Close()
			require.NoError(t, newClient(t, kissmetrics.WithBaseURL(server.URL+test.baseURL)).Track(t.Context(), ok))
			assert.Equal(t, http.MethodGet, got.Method)
			assert.Equal(t, test.path, got.URL.EscapedPath())
			assert.Equal(t, "kissmetrics-go/devel", got.Header.Get("User-Agent"))
			assert.Equal(t, testKey, got.URL.Query().Get("_k"))
			assert.Len(t, got.Header, 1, "and nothing else") // Accept-Encoding, say: a picture does not get smaller
		})
	}
}

// TestDoerMayChangeHeaders sends by way of a Doer that adds to the header of a
// request, which must not show in the next.
func TestDoerMayChangeHeaders(t *testing.T) {
	var seen []http.Header
	doer := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.Header.Clone())
		r.Header.Add("X-Trace", "1")
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	client := newClient(t, kissmetrics.WithDoer(doer))
	for range 2 {
		require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e"}))
	}
	assert.Equal(t, http.Header{"User-Agent": {"kissmetrics-go/devel"}}, seen[1])
}

func TestLongQueriesArePosted(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	whole := kissmetrics.TransformOptions{MaxValueLength: 4096}
	client := newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithTransform(whole))
	track := func(n int) kissmetrics.Track {
		return kissmetrics.Track{UserID: "u", Event: "e", Timestamp: second, Properties: kissmetrics.Properties{"v": strings.Repeat("x", n)}}
	}
	records, _, err := kissmetrics.Transform(track(0), time.Time{}, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	room := 2048 - len(records[0].Query(testKey))
	require.NoError(t, client.Track(t.Context(), track(room)))
	require.NoError(t, client.Track(t.Context(), track(room+1)))
	requests := server.Requests()
	assert.Equal(t, http.MethodGet, requests[0].Method)
	assert.Equal(t, http.MethodPost, requests[1].Method)
	assert.Equal(t, "application/x-www-form-urlencoded", requests[1].Header.Get("Content-Type"))
	requests[0].Params.Del("v")
	assert.Equal(t, strings.Repeat("x", room+1), requests[1].Params.Get("v"))
	requests[1].Params.Del("v")
	assert.Equal(t, requests[0].Params, requests[1].Params)
}

func TestPostedFormSaysHowLongItIs(t *testing.T) {
	var length int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { length = r.ContentLength }))
	defer server.Close()
	long := kissmetrics.Track{UserID: "u", Event: "e", Timestamp: second, Properties: kissmetrics.Properties{"v": strings.Repeat("x", 3000)}}
	whole := kissmetrics.TransformOptions{MaxValueLength: 4096}
	require.NoError(t, newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithTransform(whole)).Track(t.Context(), long))
	records, _, err := kissmetrics.Transform(long, time.Time{}, whole)
	require.NoError(t, err)
	assert.EqualValues(t, len(records[0].Query(testKey)), length)
}

// A transport that repeats a request by itself, on another connection, needs its body anew.
func TestPostedFormCanBeReadAgain(t *testing.T) {
	var read []string
	doer := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
		again, err := r.GetBody()
		require.NoError(t, err)
		for _, body := range []io.Reader{r.Body, again} {
			form, err := io.ReadAll(body)
			require.NoError(t, err)
			read = append(read, string(form))
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithMaxValueLength(4096))
	require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"v": strings.Repeat("x", 3000)}}))
	require.Len(t, read, 2)
	assert.Equal(t, read[0], read[1])
	assert.Greater(t, len(read[0]), 3000)
}

func TestPostedFormIsSentAgainWhole(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{Status: 503}, kissmetricstest.Fault{Cut: kissmetricstest.CutHalf})
	client := newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithBackoff(1, 1),
		kissmetrics.WithTransform(kissmetrics.TransformOptions{MaxValueLength: 4096}))
	long := strings.Repeat("é", 3000)
	require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"v": long}}))
	assert.Equal(t, long, server.Properties("u")["v"])
}

func TestSequentialSendsShareAConnection(t *testing.T) {
	for name, size := range map[string]int{"picture": 43, "no body": 0, "body of 60 KB": 60 << 10} {
		t.Run(name, func(t *testing.T) {
			connections := make(map[string]bool)
			body := make([]byte, size)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				connections[r.RemoteAddr] = true
				_, _ = w.Write(body)
			}))
			defer server.Close()
			client := newClient(t, kissmetrics.WithBaseURL(server.URL))
			for range 1000 {
				require.NoError(t, client.Track(t.Context(), ok))
			}
			// One, unless the machine is so busy that net/http gives up waiting for its own
			// writer, which is not for this test to say.
			assert.Less(t, len(connections), 10)
		})
	}
}

func (endless) Close() error { return nil }

func (panickingReader) Read([]byte) (int, error) { panic("s3cret") }

// TestScriptedExchange shows the retries of a real http.Client.
func TestScriptedExchange(t *testing.T) {
	transport := httpmock.NewMockTransport()
	transport.RegisterMatcherResponder(http.MethodGet, "https://trk.kissmetrics.io/e",
		httpmock.NewMatcher("an event of u", func(r *http.Request) bool { return r.URL.Query().Get("_p") == "u" }),
		httpmock.NewStringResponder(503, "").
			Then(httpmock.NewErrorResponder(&url.Error{Op: "Get", URL: "https://example.com/?_k=" + testKey, Err: io.EOF})).
			Then(httpmock.NewStringResponder(429, "")).
			Then(httpmock.NewStringResponder(200, "GIF")))
	client := newClient(t, kissmetrics.WithDoer(&http.Client{Transport: transport}), kissmetrics.WithBackoff(1, 1))
	require.NoError(t, client.Track(t.Context(), ok))
	assert.Equal(t, 4, transport.GetTotalCallCount())
}

func TestNilContextIsTakenForNone(t *testing.T) {
	doer := &script{answers: []answer{{status: 200}}}
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey), kissmetrics.WithDoer(doer))
	require.NoError(t, err)
	records, _, err := kissmetrics.Transform(ok, time.Time{}, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	require.NoError(t, sender.Send(nil, records))                               //nolint:staticcheck // on purpose
	require.NoError(t, newClient(t, kissmetrics.WithDoer(doer)).Track(nil, ok)) //nolint:staticcheck // on purpose
	var recorder kissmetricstest.Recorder
	require.NoError(t, recorder.Send(nil, records)) //nolint:staticcheck // on purpose
	assert.Len(t, doer.times, 2)
	assert.Equal(t, records, recorder.Records())
}

func (closing) Read([]byte) (int, error) { return 0, io.EOF }

func TestContextReachesTheDoer(t *testing.T) {
	type key struct{}
	var got any
	doer := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
		got = r.Context().Value(key{})
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	require.NoError(t, newClient(t, kissmetrics.WithDoer(doer)).Track(context.WithValue(t.Context(), key{}, "trace"), ok))
	assert.Equal(t, "trace", got)
}
