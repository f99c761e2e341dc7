package kissmetrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

func TestQueueWithoutRoomRefusesTheWholeMessage(t *testing.T) {
	three := append(append(event("1"), event("2")...), event("3")...)
	for name, test := range map[string]struct{ records, bytes int }{
		"records": {3, 1 << 20},
		"bytes":   {100, 200},
	} {
		t.Run(name, func(t *testing.T) {
			next := newGated()
			q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(test.records, test.bytes))
			require.NoError(t, q.Send(t.Context(), event("first")))
			before := q.Stats()
			require.ErrorIs(t, q.Send(t.Context(), append(three, three...)), kissmetrics.ErrQueueFull)
			assert.Equal(t, before, q.Stats())
			require.NoError(t, q.Send(t.Context(), event("second")))
			before = q.Stats()
			require.ErrorIs(t, q.Send(t.Context(), append(event("x"), event(strings.Repeat("y", 100))...)), kissmetrics.ErrQueueFull)
			assert.Equal(t, before, q.Stats())
			assert.LessOrEqual(t, before.WaitingBytes, int64(test.bytes))

			close(next.gate)
			require.NoError(t, q.Flush(t.Context()))
			assert.Equal(t, []string{"first", "second"}, next.names())
			assert.Equal(t, kissmetrics.Stats{Accepted: 2, Delivered: 2}, q.Stats())
		})
	}
}

func TestQueueWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGated()
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(1, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))

		// In the order in which they came, however large they are.
		results := make(chan error, 2)
		for _, name := range []string{"second", "third"} {
			go func() { results <- q.Send(t.Context(), event(name)) }()
			synctest.Wait()
		}
		assert.Empty(t, results)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := q.Send(ctx, event("impatient"))
		require.ErrorIs(t, err, kissmetrics.ErrQueueFull)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		// What will never fit does not wait.
		require.ErrorIs(t, q.Send(t.Context(), append(event("a"), event("b")...)), kissmetrics.ErrQueueFull)

		next.gate <- struct{}{}
		require.NoError(t, <-results)
		synctest.Wait()
		assert.Empty(t, results)
		close(next.gate)
		require.NoError(t, <-results)
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, []string{"first", "second", "third"}, next.names())
		assert.Equal(t, kissmetrics.Stats{Accepted: 3, Delivered: 3}, q.Stats())
	})
}

func TestASmallMessageDoesNotOvertakeALargeOneThatWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGated()
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(2, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))
		synctest.Wait()
		var sending sync.WaitGroup
		sending.Go(func() { assert.NoError(t, q.Send(t.Context(), append(event("large"), event("too")...))) })
		synctest.Wait()
		sending.Go(func() { assert.NoError(t, q.Send(t.Context(), event("small"))) }) // it would fit
		synctest.Wait()
		assert.EqualValues(t, 1, q.Stats().Accepted)
		close(next.gate)
		sending.Wait()
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, []string{"first", "large", "too", "small"}, next.names())
	})
}

func TestALargeMessageThatGivesUpWaitingLetsASmallOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGated()
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(2, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var sending sync.WaitGroup
		sending.Go(func() {
			assert.ErrorIs(t, q.Send(ctx, append(event("large"), event("too")...)), kissmetrics.ErrQueueFull)
		})
		synctest.Wait()
		start := time.Now()
		require.NoError(t, q.Send(t.Context(), event("small")))
		assert.Equal(t, time.Second, time.Since(start))
		sending.Wait()
	})
}

func TestByDefaultAQueueHolds100000Records(t *testing.T) {
	q := newQueue(t, stuckSender{})
	for range 100_000 {
		require.NoError(t, q.Send(t.Context(), event("e")))
	}
	require.ErrorIs(t, q.Send(t.Context(), event("one more")), kissmetrics.ErrQueueFull)
	assert.EqualValues(t, 100_000, q.Stats().Accepted)
}

func TestByDefaultAQueueHolds64MiB(t *testing.T) {
	q := newQueue(t, stuckSender{})
	large := event("e")
	for i := range 200 {
		large[0].Properties = append(large[0].Properties,
			kissmetrics.Property{Name: fmt.Sprintf("p%03d", i), Value: strings.Repeat("x", kissmetrics.MaxValueLength)})
	}
	for q.Send(t.Context(), large) == nil {
	}
	size := q.Stats().WaitingBytes / q.Stats().Waiting
	assert.LessOrEqual(t, q.Stats().WaitingBytes, int64(64<<20))
	assert.Greater(t, q.Stats().WaitingBytes+size, int64(64<<20))
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

func TestClosingEndsTheWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, newGated(), kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(1, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))
		result := make(chan error)
		go func() { result <- q.Send(t.Context(), event("second")) }()
		synctest.Wait()
		undelivered, isUndelivered := errors.AsType[*kissmetrics.UndeliveredError](closeNow(q))
		require.True(t, isUndelivered)
		require.ErrorIs(t, <-result, kissmetrics.ErrClosed)
		assert.Equal(t, event("first"), undelivered.Records)
	})
}

func TestQueueDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, told := newGated(), &outcomes{}
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(4, 4000),
			kissmetrics.WithFullPolicy(kissmetrics.FullDropOldest), kissmetrics.WithOnResult(told.note))
		for _, name := range []string{"under way", "2", "3", "4"} {
			require.NoError(t, q.Send(t.Context(), event(name)))
			synctest.Wait()
		}
		require.NoError(t, q.Send(t.Context(), append(event("5"), event("6")...)))
		require.ErrorIs(t, told.of(t, "2"), kissmetrics.ErrQueueFull)
		require.ErrorIs(t, told.of(t, "3"), kissmetrics.ErrQueueFull)
		assert.Equal(t, int64(2), q.Stats().Dropped)

		// What is under way cannot be dropped, so this will not fit, and nothing
		// is dropped for it.
		large := append(append(event("7"), event("8")...), append(event("9"), event("10")...)...)
		require.ErrorIs(t, q.Send(t.Context(), large), kissmetrics.ErrQueueFull)
		assert.Equal(t, int64(2), q.Stats().Dropped)
		requireConserved(t, q.Stats())

		close(next.gate)
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, []string{"under way", "4", "5", "6"}, next.names())
		require.NoError(t, told.of(t, "4"))
		assert.Equal(t, kissmetrics.Stats{Accepted: 6, Delivered: 4, Dropped: 2}, q.Stats())
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

type contextKey struct{}

func TestQueueKeepsTheNamedValuesOfAContextAndNotItsEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var value any
	var deadline bool
	var contextErr error
	doer := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
		entered <- struct{}{}
		<-release
		value, contextErr = r.Context().Value(contextKey{}), r.Context().Err()
		d, _ := r.Context().Deadline()
		deadline = time.Until(d) < time.Minute
		return &http.Response{StatusCode: http.StatusOK}, nil
	})
	var told any
	var toldErr error
	client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithTimeout(time.Hour), kissmetrics.WithQueue(
		kissmetrics.WithWorkers(1), kissmetrics.WithContextValues(contextKey{}),
		kissmetrics.WithOnResult(func(ctx context.Context, _ kissmetrics.Record, _ error) {
			told, toldErr = ctx.Value(contextKey{}), ctx.Err()
		})))
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), contextKey{}, "trace-1"), 30*time.Second)
	require.NoError(t, client.Track(ctx, ok))
	<-entered
	cancel()
	close(release)
	require.NoError(t, client.Close(t.Context()))
	assert.Equal(t, "trace-1", value)
	assert.Equal(t, "trace-1", told)
	require.NoError(t, toldErr)
	require.NoError(t, contextErr)
	assert.False(t, deadline, "the caller's deadline reached the request")
	assert.Equal(t, kissmetrics.Stats{Accepted: 1, Delivered: 1}, client.Stats())
}

// A contextual sender and function tell what they find in their contexts.
func TestQueueKeepsNothingOfAContextThatItWasNotAskedFor(t *testing.T) {
	type spanKey struct{}
	type otherKey struct{}
	span := func(ctx context.Context) context.Context {
		return context.WithValue(context.Background(), spanKey{}, ctx.Value(spanKey{}))
	}
	for name, test := range map[string]struct {
		options []kissmetrics.QueueOption
		want    []any // of contextKey, otherKey and spanKey
	}{
		"nothing":               {nil, []any{nil, nil, nil}},
		"a value":               {[]kissmetrics.QueueOption{kissmetrics.WithContextValues(contextKey{})}, []any{"value", nil, nil}},
		"values":                {[]kissmetrics.QueueOption{kissmetrics.WithContextValues(contextKey{}, otherKey{})}, []any{"value", "other", nil}},
		"two options":           {[]kissmetrics.QueueOption{kissmetrics.WithContextValues(contextKey{}), kissmetrics.WithContextValues(otherKey{})}, []any{"value", "other", nil}},
		"a value that is not":   {[]kissmetrics.QueueOption{kissmetrics.WithContextValues("none")}, []any{nil, nil, nil}},
		"a span":                {[]kissmetrics.QueueOption{kissmetrics.WithContext(span)}, []any{nil, nil, "span"}},
		"a span and a value":    {[]kissmetrics.QueueOption{kissmetrics.WithContext(span), kissmetrics.WithContextValues(contextKey{})}, []any{"value", nil, "span"}},
		"a function that fails": {[]kissmetrics.QueueOption{kissmetrics.WithContext(func(context.Context) context.Context { panic(secretValue) })}, []any{nil, nil, nil}},
		"a function of nothing": {[]kissmetrics.QueueOption{kissmetrics.WithContext(func(context.Context) context.Context { return nil })}, []any{nil, nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			found := func(ctx context.Context) []any {
				return []any{ctx.Value(contextKey{}), ctx.Value(otherKey{}), ctx.Value(spanKey{})}
			}
			var sent, told []any
			q := newQueue(t, senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
				sent = found(ctx)
				return ctx.Err()
			}), append(test.options, kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
				kissmetrics.WithOnResult(func(ctx context.Context, _ kissmetrics.Record, _ error) { told = found(ctx) }))...)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			ctx = context.WithValue(ctx, contextKey{}, "value")
			ctx = context.WithValue(ctx, otherKey{}, "other")
			ctx = context.WithValue(ctx, spanKey{}, "span")
			require.NoError(t, q.Send(ctx, event("e")))
			require.NoError(t, q.Flush(t.Context()))
			assert.Equal(t, test.want, sent)
			assert.Equal(t, test.want, told)
			assert.Equal(t, name == "a function that fails", strings.Contains(log.String(), "WithContext panicked"))
			requireNoSecret(t, log.String())
		})
	}
}

// A function of WithContext may return a context that ends: only its values count.
func TestTheEndOfAKeptContextDoesNotEndADelivery(t *testing.T) {
	same := func(ctx context.Context) context.Context { return ctx }
	var told error
	q := newQueue(t, senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error { return ctx.Err() }),
		kissmetrics.WithContext(same),
		kissmetrics.WithOnResult(func(ctx context.Context, _ kissmetrics.Record, err error) { told = errors.Join(err, ctx.Err()) }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, q.Send(ctx, event("e")))
	require.NoError(t, q.Flush(t.Context()))
	require.NoError(t, told)
}

// The memory that a context holds is let go when the call has returned.
func TestQueueLetsGoOfTheCallersContext(t *testing.T) {
	q := newQueue(t, stuckSender{}, kissmetrics.WithContextValues(contextKey{}))
	collected := make(chan struct{})
	func() {
		request := new([1 << 20]byte)
		runtime.AddCleanup(request, func(struct{}) { close(collected) }, struct{}{})
		type requestKey struct{}
		ctx := context.WithValue(context.WithValue(t.Context(), requestKey{}, request), contextKey{}, "kept")
		require.NoError(t, q.Send(ctx, event("e")))
	}()
	for {
		runtime.GC()
		select {
		case <-collected:
			return
		case <-t.Context().Done():
			t.Fatal("the context is still held")
		case <-time.After(time.Millisecond):
		}
	}
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

func TestAPanicInOnResultIsContainedAndLogged(t *testing.T) {
	var log bytes.Buffer
	client := newClient(t, kissmetrics.WithDoer(&script{answers: []answer{{status: 200}}}),
		kissmetrics.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))),
		kissmetrics.WithQueue(kissmetrics.WithWorkers(1), kissmetrics.WithOnResult(func(_ context.Context, r kissmetrics.Record, _ error) {
			panic(r.Properties[0].Value)
		})))
	require.NoError(t, client.Track(t.Context(), secretive))
	require.NoError(t, client.Close(t.Context()))
	assert.Equal(t, 2, strings.Count(log.String(), "WithOnResult panicked"), log.String())
	requireNoSecret(t, log.String())
	assert.EqualValues(t, 2, client.Stats().Delivered)
}

func TestASenderThatMisbehavesCostsNoWorker(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"panics":           func() { panic(secretValue) },
		"ends a goroutine": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				calls := 0
				recorder := &kissmetricstest.Recorder{}
				q := newQueue(t, senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
					if calls++; calls <= 3 {
						misbehave()
					}
					return recorder.Send(ctx, records)
				}), kissmetrics.WithWorkers(1), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				require.NoError(t, q.Send(t.Context(), event("e")))
				require.NoError(t, q.Close(t.Context()))
				assert.Equal(t, event("e"), recorder.Records())
				requireNoSecret(t, log.String())
			})
		})
	}
}

func TestAnOnResultThatEndsItsGoroutineCostsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, &kissmetricstest.Recorder{}, kissmetrics.WithWorkers(1),
			kissmetrics.WithOnResult(func(context.Context, kissmetrics.Record, error) { runtime.Goexit() }))
		for range 3 {
			require.NoError(t, q.Send(t.Context(), event("e")))
			require.NoError(t, q.Flush(t.Context()))
		}
		require.NoError(t, q.Close(t.Context()))
		assert.Equal(t, kissmetrics.Stats{Accepted: 3, Delivered: 3}, q.Stats())
	})
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

func TestNoContextIsNoReasonToPanic(t *testing.T) {
	var none context.Context // as a hostile caller gives it
	q := newQueue(t, &kissmetricstest.Recorder{})
	require.NoError(t, q.Send(none, event("e")))
	require.NoError(t, q.Flush(none))
	require.NoError(t, q.Close(none))
	client := newClient(t, kissmetrics.WithDoer(&script{answers: []answer{{status: 200}}}), kissmetrics.WithQueue())
	require.NoError(t, client.Track(none, ok))
	require.NoError(t, client.Flush(none))
	require.NoError(t, client.Close(none))
	assert.EqualValues(t, 1, client.Stats().Delivered)
}
