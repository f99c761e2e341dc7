package kissmetrics_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

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
		"a nil pointer":         {[]kissmetrics.QueueOption{kissmetrics.WithContext(func(context.Context) context.Context { return (*recycled)(nil) })}, []any{nil, nil, nil}},
		"what panics later":     {[]kissmetrics.QueueOption{kissmetrics.WithContext(func(ctx context.Context) context.Context { return recycled{ctx} })}, []any{nil, nil, nil}},
		"that and a value":      {[]kissmetrics.QueueOption{kissmetrics.WithContext(func(ctx context.Context) context.Context { return recycled{ctx} }), kissmetrics.WithContextValues(contextKey{})}, []any{"value", nil, nil}},
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

// recycled is a context that belongs to another request by now.
type recycled struct{ context.Context }

func (recycled) Value(any) any { panic(secretValue) }

func TestAContextThatPanicsHasNoValues(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"recycled":      recycled{},
		"a nil pointer": (*recycled)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			recorder := &kissmetricstest.Recorder{}
			q := newQueue(t, recorder, kissmetrics.WithContextValues("tenant"), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			require.NoError(t, q.Send(ctx, event("e")))
			require.NoError(t, q.Flush(t.Context()))
			assert.Equal(t, event("e"), recorder.Records())
			assert.Equal(t, name == "recycled", strings.Contains(log.String(), "a context panicked"), "a nil pointer is none")
			requireNoSecret(t, log.String())
		})
	}
}
