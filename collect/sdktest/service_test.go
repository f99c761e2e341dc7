// Package sdktest drives collect with public SDKs for servers, as they are.
package sdktest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const (
	writeKey  = "sdk-write-key"
	userID    = "sdk-user"
	visitorID = "sdk-visitor"
)

var when = time.Date(2026, time.March, 2, 9, 40, 0, 358e6, time.UTC)

var products = []map[string]any{{"sku": "MUG-1", "price": 6.25}, {"sku": "TEE-4", "price": 7.5}}

func TestMain(m *testing.M) {
	trial.Parallel(16) // they mostly wait
	goleak.VerifyTestMain(m)
}

// A sender does not take everything at once: of the messages that it is sent,
// some it refuses the first time, as a queue that is full or a service that is
// away.
type sender struct {
	next kissmetrics.Sender
	calm bool // it takes everything at once

	mu       sync.Mutex
	calls    int
	failures int
}

func (s *sender) Send(ctx context.Context, records []kissmetrics.Record) error {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.mu.Unlock()
	var err error
	switch {
	case s.calm:
		return s.next.Send(ctx, records)
	case call == 1: // the first of a batch
		err = &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable}
	case call == 4: // in the middle of the repeated batch
		err = kissmetrics.ErrQueueFull
	default:
		return s.next.Send(ctx, records)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	return err
}

// A service is collect, a queue, and the tracking server behind them.
type service struct {
	URL      string
	handler  *collect.Handler
	tracking *kissmetricstest.Server
	sender   *sender
	flush    func()

	mu       sync.Mutex
	statuses []int
	encoding map[string]bool // of the bodies
	results  []collect.Result
}

func start(t *testing.T) *service {
	s := &service{tracking: kissmetricstest.NewServer(t), encoding: map[string]bool{}}
	delivery, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(s.tracking.URL))
	require.NoError(t, err)
	queue, err := kissmetrics.NewQueue(delivery)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, queue.Close(context.Background()))
		delivery.CloseIdleConnections()
	})
	s.flush = func() { require.NoError(t, queue.Flush(t.Context())) }
	s.sender = &sender{next: queue}
	s.handler, err = collect.NewHandler(s.sender, collect.WithWriteKeys(writeKey), collect.WithOnResult(func(_ context.Context, r collect.Result) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.results = append(s.results, r)
	}))
	require.NoError(t, err)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := &statusWriter{ResponseWriter: w}
		s.handler.ServeHTTP(noted, r)
		s.note(r, noted.status)
	}))
	t.Cleanup(front.Close)
	s.URL = front.URL
	return s
}

// note notes a request, and how it was answered.
func (s *service) note(r *http.Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses = append(s.statuses, status)
	s.encoding[r.Header.Get("Content-Encoding")] = true
}

// RoundTrip is the handler's, noted: the service as a transport.
func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.handler.RoundTrip(r)
	if err == nil {
		s.note(r, response.StatusCode)
	}
	return response, err
}

// statusWriter notes the status of an answer. It asks an SDK to wait for a second,
// unless the test is to take as long as collect asks for.
type statusWriter struct {
	http.ResponseWriter

	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	if w.Header().Get("Retry-After") != "" && !trial.Long() {
		w.Header().Set("Retry-After", "1")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// check checks that what an SDK was told to send has arrived, all of it and
// once, although some of it was not accepted at first.
func (s *service) check(t *testing.T) {
	t.Helper()
	s.flush()
	var got []string
	for _, r := range s.tracking.Requests() {
		r.Params.Del("_k")
		got = append(got, r.Path+"?"+r.Params.Encode())
	}
	slices.Sort(got)
	const person = "&_p=sdk-user&_t=1772444400"
	assert.Equal(t, []string{
		"/a?_n=sdk-user&_p=sdk-visitor",
		"/e?Billing+Amount=25.5&_d=1&_n=Order+Completed" + person + "&gift=true&order_id=o-17&revenue=25.5",
		"/e?_d=1&_n=Viewed+Cart+screen" + person + "&items=3",
		"/e?_d=1&_n=Viewed+Shop+Pricing+page" + person + "&category=Shop&path=%2Fpricing",
		"/s?Group+-+id=g-1&Group+-+name=Engines&_d=1" + person,
		"/s?_d=1" + person + "&address.city=London&email=ada%40example.com",
		"/s?_d=1&_p=sdk-user&_t=1772444401&price=6.25&sku=MUG-1",
		"/s?_d=1&_p=sdk-user&_t=1772444402&price=7.5&sku=TEE-4",
	}, got)
	assert.Empty(t, s.tracking.Ignored())

	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Equal(t, 2, s.sender.failures)
	assert.Contains(t, s.statuses, http.StatusServiceUnavailable)
	assert.Contains(t, s.statuses, http.StatusTooManyRequests)
	accepted := 0
	for _, r := range s.results {
		if r.Outcome == collect.Accepted {
			accepted++
		}
		assert.NotEqual(t, collect.Refused, r.Outcome, "%v", r.Err)
	}
	assert.Equal(t, 6, accepted)

	// What the person is known by, in the end.
	assert.ElementsMatch(t, []string{userID, visitorID}, s.tracking.Identities(userID))
	assert.Len(t, s.tracking.Events(visitorID), 3)
	assert.Len(t, s.tracking.History(userID, "sku"), 2)
}
