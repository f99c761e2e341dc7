// Package sdktest drives collect with the public SDKs of RudderStack and
// Segment, as they are.
package sdktest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rudderstack "github.com/rudderlabs/analytics-go/v4"
	segment "github.com/segmentio/analytics-go/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const (
	writeKey  = "sdk-write-key"
	userID    = "sdk-user"
	visitorID = "sdk-visitor"
)

var when = time.Date(2026, time.March, 2, 9, 40, 0, 358e6, time.UTC)

var products = []map[string]any{{"sku": "MUG-1", "price": 6.25}, {"sku": "TEE-4", "price": 7.5}}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sender does not take everything at once: of the messages that it is sent,
// some it refuses the first time, as a queue that is full or a service that is
// away.
type sender struct {
	next kissmetrics.Sender

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
	switch call {
	case 1: // the first of a batch
		err = &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable}
	case 4: // in the middle of the repeated batch
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
	handler, err := collect.NewHandler(s.sender, collect.WithWriteKeys(writeKey), collect.WithOnResult(func(_ context.Context, r collect.Result) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.results = append(s.results, r)
	}))
	require.NoError(t, err)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := &statusWriter{ResponseWriter: w}
		handler.ServeHTTP(noted, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.statuses = append(s.statuses, noted.status)
		s.encoding[r.Header.Get("Content-Encoding")] = true
	}))
	t.Cleanup(front.Close)
	s.URL = front.URL
	return s
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
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

// delivery is told what became of each message.
type delivery[M any] struct{ outcomes chan error }

func (d delivery[M]) Success(M)            { d.outcomes <- nil }
func (d delivery[M]) Failure(_ M, e error) { d.outcomes <- e }

// enqueue hands messages to one of the SDKs for Go, and waits until it says that
// all were delivered.
func (d delivery[M]) enqueue(t *testing.T, client interface {
	Enqueue(message M) error
	Close() error
}, messages ...M) {
	t.Helper()
	for _, message := range messages {
		require.NoError(t, client.Enqueue(message))
	}
	for range messages {
		select {
		case err := <-d.outcomes:
			require.NoError(t, err)
		case <-time.After(30 * time.Second):
			require.Fail(t, "the SDK does not say what became of its messages")
		}
	}
	require.NoError(t, client.Close())
}

// quiet keeps the SDK from writing to the standard error that a try failed.
type quiet struct{}

func (quiet) Logf(string, ...any)   {}
func (quiet) Errorf(string, ...any) {}

func TestSegmentForGo(t *testing.T) {
	s := start(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	d := delivery[segment.Message]{make(chan error, 6)}
	client, err := segment.NewWithConfig(writeKey, segment.Config{
		Endpoint: s.URL, BatchSize: 4, Interval: 100 * time.Millisecond, Transport: transport, Callback: d, Logger: quiet{},
	})
	require.NoError(t, err)
	d.enqueue(t, client,
		segment.Identify{UserId: userID, Timestamp: when, Traits: segment.NewTraits().SetEmail("ada@example.com").Set("address", map[string]string{"city": "London"})},
		segment.Page{UserId: userID, Timestamp: when, Name: "Pricing", Properties: segment.NewProperties().Set("category", "Shop").SetPath("/pricing")},
		segment.Screen{UserId: userID, Timestamp: when, Name: "Cart", Properties: segment.NewProperties().Set("items", 3)},
		segment.Track{UserId: userID, Timestamp: when, Event: "Order Completed", Properties: segment.NewProperties().
			Set("order_id", "o-17").SetRevenue(25.5).Set("gift", true).Set("products", products)},
		segment.Group{UserId: userID, Timestamp: when, GroupId: "g-1", Traits: segment.NewTraits().SetName("Engines")},
		segment.Alias{UserId: userID, PreviousId: visitorID, Timestamp: when},
	)
	s.check(t)
}

func TestRudderStackForGo(t *testing.T) {
	for _, encoding := range []string{"gzip", ""} {
		t.Run("encoding "+encoding, func(t *testing.T) {
			s := start(t)
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			d := delivery[rudderstack.Message]{make(chan error, 6)}
			client, err := rudderstack.NewWithConfig(writeKey, rudderstack.Config{
				DataPlaneUrl: s.URL, BatchSize: 4, Interval: 100 * time.Millisecond, Transport: transport, Callback: d, Logger: quiet{}, DisableGzip: encoding == "",
			})
			require.NoError(t, err)
			d.enqueue(t, client,
				rudderstack.Identify{UserId: userID, OriginalTimestamp: when, Traits: rudderstack.NewTraits().SetEmail("ada@example.com").Set("address", map[string]string{"city": "London"})},
				rudderstack.Page{UserId: userID, OriginalTimestamp: when, Name: "Pricing", Properties: rudderstack.NewProperties().SetCategory("Shop").SetPath("/pricing")},
				rudderstack.Screen{UserId: userID, OriginalTimestamp: when, Name: "Cart", Properties: rudderstack.NewProperties().Set("items", 3)},
				rudderstack.Track{UserId: userID, OriginalTimestamp: when, Event: "Order Completed", Properties: rudderstack.NewProperties().
					Set("order_id", "o-17").SetRevenue(25.5).Set("gift", true).Set("products", products)},
				rudderstack.Group{UserId: userID, OriginalTimestamp: when, GroupId: "g-1", Traits: rudderstack.NewTraits().SetName("Engines")},
				rudderstack.Alias{UserId: userID, PreviousId: visitorID, OriginalTimestamp: when},
			)
			s.check(t)
			assert.Equal(t, map[string]bool{encoding: true}, s.encoding)
		})
	}
}

func TestSegmentForNode(t *testing.T) {
	s := start(t)
	node(t, "segment.js", s.URL, writeKey)
	s.check(t)
}

func TestRudderStackForNode(t *testing.T) {
	for _, encoding := range []string{"gzip", ""} {
		t.Run("encoding "+encoding, func(t *testing.T) {
			s := start(t)
			node(t, "rudderstack.js", s.URL, writeKey, encoding)
			s.check(t)
			assert.Equal(t, map[string]bool{encoding: true}, s.encoding)
		})
	}
}

// TestWrongWriteKey is what an SDK makes of a key that is not ours: it gives up
// and says so, rather than try for ever.
func TestWrongWriteKey(t *testing.T) {
	s := start(t)
	npm(t)
	command := exec.CommandContext(t.Context(), "node", "rudderstack.js", s.URL, "wrong", "gzip")
	command.Dir = "node"
	output, err := command.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(output), "Unauthorized")
	assert.Empty(t, s.tracking.Requests())
	assert.NotContains(t, s.statuses, http.StatusOK)
}

// node runs a script to its end.
func node(t *testing.T, script string, args ...string) {
	t.Helper()
	npm(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	command.Dir = "node"
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s: %s", script, output)
}

// npm installs the SDKs that node/package-lock.json names, unless they are there.
func npm(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("needs npm, and Node.js 20: install Debian's package npm, or see https://nodejs.org")
	}
	if lock, err := os.ReadFile("node/node_modules/.package-lock.json"); err == nil && strings.Contains(string(lock), "@segment/analytics-node") {
		return
	}
	command := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	command.Dir = "node"
	output, err := command.CombinedOutput()
	require.NoError(t, err, "npm ci: %s", output)
}
