package kissmetrics_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// senderFunc is a function as a Sender.
type senderFunc func(context.Context, []kissmetrics.Record) error

func (f senderFunc) Send(ctx context.Context, records []kissmetrics.Record) error {
	return f(ctx, records)
}

// gated is a Sender that holds every message until it is let through.
type gated struct {
	kissmetricstest.Recorder

	taken chan string   // the names of what has come so far
	gate  chan struct{} // one receive lets one message through; closed, all
}

func newGated() *gated {
	return &gated{taken: make(chan string, 1000), gate: make(chan struct{})}
}

func (g *gated) Send(ctx context.Context, records []kissmetrics.Record) error {
	g.taken <- records[0].Name
	select {
	case <-g.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	return g.Recorder.Send(ctx, records)
}

// names returns the names of the records that were let through.
func (g *gated) names() []string {
	var names []string
	for _, r := range g.Records() {
		names = append(names, r.Name)
	}
	return names
}

// outcomes notes what WithOnResult tells, by the name of the record.
type outcomes struct {
	mu  sync.Mutex
	err map[string][]error
}

func (o *outcomes) note(_ context.Context, r kissmetrics.Record, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = map[string][]error{}
	}
	var name strings.Builder
	name.WriteString(r.Name)
	for _, p := range r.Properties {
		name.WriteString("," + p.Value)
	}
	o.err[name.String()] = append(o.err[name.String()], err)
}

func (o *outcomes) of(t testing.TB, name string) error {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Len(t, o.err[name], 1, "outcomes of %q", name)
	return o.err[name][0]
}

// newQueue returns a queue that is closed, at the end of the test, with an ended
// context.
func newQueue(t testing.TB, next kissmetrics.Sender, options ...kissmetrics.QueueOption) *kissmetrics.Queue {
	t.Helper()
	q, err := kissmetrics.NewQueue(next, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = closeNow(q) })
	return q
}

// closeNow closes with a context that has ended.
func closeNow(q interface{ Close(context.Context) error }) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return q.Close(ctx)
}

// event returns the record of an event.
func event(name string) []kissmetrics.Record {
	return []kissmetrics.Record{{Kind: kissmetrics.KindEvent, Person: "u", Name: name, Time: second}}
}

func requireConserved(t testing.TB, s kissmetrics.Stats) {
	t.Helper()
	require.Equal(t, s.Accepted, s.Delivered+s.Failed+s.Dropped+s.Waiting, "%+v", s)
}

func TestQueueAcceptsAtOnceAndKeepsNothingOfTheCaller(t *testing.T) {
	next := newGated()
	client, err := kissmetrics.New(kissmetrics.WithSender(next), kissmetrics.WithQueue(kissmetrics.WithWorkers(1)))
	require.NoError(t, err)

	properties := kissmetrics.Properties{"plan": "pro"}
	for range 3 {
		require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e", Properties: properties}))
	}
	assert.Empty(t, next.Records())
	properties["plan"] = "changed"
	records := event("mine")
	require.NoError(t, client.Track(t.Context(), ok))
	assert.Equal(t, kissmetrics.Stats{Accepted: 4, Waiting: 4, WaitingBytes: client.Stats().WaitingBytes}, client.Stats())

	close(next.gate)
	require.NoError(t, client.Flush(t.Context()))
	require.Len(t, next.Records(), 4)
	for _, r := range next.Records()[:3] {
		assert.Equal(t, []kissmetrics.Property{{Name: "plan", Value: "pro"}}, r.Properties)
	}
	assert.Equal(t, event("mine"), records)
	assert.Equal(t, kissmetrics.Stats{Accepted: 4, Delivered: 4}, client.Stats())
	require.NoError(t, client.Close(t.Context()))
	require.ErrorIs(t, client.Track(t.Context(), ok), kissmetrics.ErrClosed)
}

func TestQueueRefusesAtTheCallWhatIsInvalid(t *testing.T) {
	q := newQueue(t, &kissmetricstest.Recorder{})
	err := q.Send(t.Context(), append(event("e"), kissmetrics.Record{Kind: kissmetrics.KindEvent}))
	requireField(t, "identity", err)
	require.NoError(t, q.Send(t.Context(), nil))
	assert.Zero(t, q.Stats())
}

func TestByDefaultTheWaitsOfAnOutageAreUpTo30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var longest time.Duration
		last := time.Now()
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			longest, last = max(longest, time.Since(last)), time.Now()
			return unavailable(records)
		}), kissmetrics.WithWorkers(1))
		require.NoError(t, q.Send(t.Context(), event("e")))
		time.Sleep(24 * time.Hour) // thousands of waits
		synctest.Wait()
		assert.LessOrEqual(t, longest, 30*time.Second)
		assert.Greater(t, longest, 29*time.Second)
	})
}

func TestRequestsUnderWayNeverExceedTheWorkers(t *testing.T) {
	const workers = 3
	var mu sync.Mutex
	now, peak := 0, 0
	reached := make(chan struct{}) // so that the bound is reached, and passed if it can be
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		now++
		if now == workers && peak < workers {
			close(reached)
		}
		peak = max(peak, now)
		mu.Unlock()
		<-reached
		runtime.Gosched()
		mu.Lock()
		now--
		mu.Unlock()
	}))
	defer server.Close()
	client := newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithQueue(kissmetrics.WithWorkers(workers)))
	for i := range 200 {
		require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e" + strconv.Itoa(i)}))
	}
	require.NoError(t, client.Close(t.Context()))
	assert.Equal(t, workers, peak)
	assert.EqualValues(t, 200, client.Stats().Delivered)
}

func TestQueueDeliversTheRestOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &outcomes{}
		doer := &script{answers: []answer{{status: 200}, {status: 400}, {status: 503}, {status: 200}}}
		client := newClient(t, kissmetrics.WithDoer(doer),
			kissmetrics.WithQueue(kissmetrics.WithWorkers(1), kissmetrics.WithOnResult(told.note)))
		properties := kissmetrics.Properties{"products": []any{
			map[string]any{"sku": "a"}, map[string]any{"sku": "b"},
		}}
		require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "order", Timestamp: second, Properties: properties}))
		require.NoError(t, client.Close(t.Context()))
		assert.Equal(t, []string{"/e", "/s", "/s", "/s", "/s"}, doer.paths, "each as often as need be")
		require.NoError(t, told.of(t, "order"))
		require.NoError(t, told.of(t, ",a"))
		require.NoError(t, told.of(t, ",b"))
		assert.Equal(t, kissmetrics.Stats{Accepted: 3, Delivered: 3}, client.Stats())
	})
}

func TestWhatAQueueMakesOfTheErrorsOfAnotherSender(t *testing.T) {
	invalid := kissmetrics.Record{}.Validate()
	for name, test := range map[string]struct {
		err   error
		final bool
	}{
		"unknown":               {io.ErrUnexpectedEOF, false},
		"full":                  {kissmetrics.ErrQueueFull, false},
		"invalid":               {invalid, true},
		"refused":               {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused}, true},
		"unavailable":           {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable}, false},
		"a nil pointer":         {(*kissmetrics.DeliveryError)(nil), false},
		"another nil pointer":   {(*kissmetrics.ValidationError)(nil), false},
		"of some other records": {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: append(event("x"), event("y")...)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, told := 0, &outcomes{}
				next := senderFunc(func(context.Context, []kissmetrics.Record) error {
					if calls++; calls == 1 {
						return test.err
					}
					return nil
				})
				q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithOnResult(told.note))
				require.NoError(t, q.Send(t.Context(), event("e")))
				require.NoError(t, q.Flush(t.Context()))
				if test.final {
					assert.Equal(t, 1, calls)
					require.ErrorIs(t, told.of(t, "e"), test.err)
					assert.Equal(t, kissmetrics.Stats{Accepted: 1, Failed: 1}, q.Stats())
					return
				}
				assert.Equal(t, 2, calls)
				require.NoError(t, told.of(t, "e"))
				assert.Equal(t, kissmetrics.Stats{Accepted: 1, Delivered: 1}, q.Stats())
			})
		})
	}
}

func TestQueueOptionsThatAreRefused(t *testing.T) {
	next := &kissmetricstest.Recorder{}
	for name, test := range map[string]struct {
		next    kissmetrics.Sender
		options []kissmetrics.QueueOption
		want    string
	}{
		"no next sender": {nil, nil, "the next sender is nil"},
		"no workers":     {next, []kissmetrics.QueueOption{kissmetrics.WithWorkers(0)}, "WithWorkers: 0"},
		"many workers":   {next, []kissmetrics.QueueOption{kissmetrics.WithWorkers(1025)}, "WithWorkers: 1025"},
		"no capacity":    {next, []kissmetrics.QueueOption{kissmetrics.WithCapacity(0, 1)}, "WithCapacity"},
		"no bytes":       {next, []kissmetrics.QueueOption{kissmetrics.WithCapacity(1, 0)}, "WithCapacity"},
		"unknown policy": {next, []kissmetrics.QueueOption{kissmetrics.WithFullPolicy(3)}, "WithFullPolicy: unknown policy 3"},
		"no age":         {next, []kissmetrics.QueueOption{kissmetrics.WithMaxAge(0)}, "WithMaxAge: 0s is not positive"},
		"no context":     {next, []kissmetrics.QueueOption{kissmetrics.WithContext(nil)}, "WithContext: the function is nil"},
		"nil key":        {next, []kissmetrics.QueueOption{kissmetrics.WithContextValues("a", nil)}, "WithContextValues: a key of type <nil>"},
		"bad key":        {next, []kissmetrics.QueueOption{kissmetrics.WithContextValues([]int{1})}, "WithContextValues: a key of type []int"},
		"odd key":        {next, []kissmetrics.QueueOption{kissmetrics.WithContextValues(struct{ any }{[]int{1}})}, "WithContextValues: a key of type struct"},
		"no function":    {next, []kissmetrics.QueueOption{kissmetrics.WithOnResult(nil)}, "WithOnResult: the function is nil"},
		"nil option":     {next, []kissmetrics.QueueOption{nil}, "an option is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := kissmetrics.NewQueue(test.next, test.options...)
			require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
			assert.ErrorContains(t, err, test.want)
		})
	}
	for name, options := range map[string][]kissmetrics.Option{
		"bad option within": {kissmetrics.WithAPIKey("k"), kissmetrics.WithQueue(kissmetrics.WithWorkers(-1))},
		"attempts":          {kissmetrics.WithAPIKey("k"), kissmetrics.WithMaxAttempts(3), kissmetrics.WithQueue()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := kissmetrics.New(options...)
			require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
		})
	}
}

func TestClientWithQueueTakesTheBackoffAndLoggerForBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		doer := &script{answers: []answer{{status: 503}, {status: 503}, {status: 503}, {status: 200}}}
		client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithBackoff(time.Millisecond, time.Millisecond),
			kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), kissmetrics.WithQueue(kissmetrics.WithWorkers(1)))
		require.NoError(t, client.Track(t.Context(), ok))
		require.NoError(t, client.Close(t.Context()))
		for _, wait := range doer.waits() {
			assert.LessOrEqual(t, wait, time.Millisecond)
		}
		assert.Contains(t, log.String(), "deliveries fail")
	})
}

func TestARecordMayBeKeptByWhoeverIsToldOfIt(t *testing.T) {
	var sent, told []kissmetrics.Record
	q := newQueue(t, senderFunc(func(context.Context, []kissmetrics.Record) error { return nil }), kissmetrics.WithWorkers(1),
		kissmetrics.WithOnResult(func(_ context.Context, r kissmetrics.Record, _ error) { told = append(told, r) }))
	for _, plan := range []string{"basic", "pro", "team"} {
		records := event(plan)
		records[0].Properties = []kissmetrics.Property{{Name: "plan", Value: plan}}
		sent = append(sent, records...)
		require.NoError(t, q.Send(t.Context(), records))
	}
	require.NoError(t, q.Close(t.Context()))
	assert.Equal(t, sent, told)
}
