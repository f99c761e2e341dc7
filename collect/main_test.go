package collect_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const writeKey = "s3cret-write-key"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A receiver is a handler, with what it hands on and what it says.
type receiver struct {
	http.Handler

	recorder kissmetricstest.Recorder

	mu      sync.Mutex
	results []collect.Result
}

func newReceiver(t testing.TB, options ...collect.Option) *receiver {
	t.Helper()
	r := &receiver{}
	return r.with(t, &r.recorder, options...)
}

// with makes the handler, with another sender than the recorder.
func (r *receiver) with(t testing.TB, sender kissmetrics.Sender, options ...collect.Option) *receiver {
	t.Helper()
	handler, err := collect.NewHandler(sender, append([]collect.Option{
		collect.WithWriteKeys("another", writeKey),
		collect.WithOnResult(func(_ context.Context, result collect.Result) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.results = append(r.results, result)
		}),
	}, options...)...)
	require.NoError(t, err)
	r.Handler = handler
	return r
}

// outcomes returns what became of the messages since the last call.
func (r *receiver) outcomes() []collect.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	var outcomes []collect.Outcome
	for _, result := range r.results {
		outcomes = append(outcomes, result.Outcome)
	}
	r.results = nil
	return outcomes
}

// names returns the names of the events that were handed on.
func (r *receiver) names() []string {
	var names []string
	for _, record := range r.recorder.Records() {
		names = append(names, record.Name)
	}
	return names
}

// An answer is what a client sees.
type answer struct {
	status int
	header http.Header
	text   string
	body   struct {
		Success            *bool
		Accepted, Rejected int
		Deferred           int
		Error              string
		Code, Message      string
		Adjusted           []struct {
			Index       int
			MessageID   string
			Adjustments []struct{ Field, Property, Kind string }
		}
		Errors []struct {
			Index            int
			MessageID, Error string
		}
	}
}

// do makes a request with the write key, which change may change.
func (r *receiver) do(t testing.TB, path, body string, change ...func(*http.Request)) answer {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader([]byte(body)))
	request.SetBasicAuth(writeKey, "")
	for _, f := range change {
		f(request)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	if w.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a.body), w.Body.String())
		require.NotNil(t, a.body.Success, "every answer says whether it is one of success")
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
	return a
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}
