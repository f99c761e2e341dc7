package kissmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func requireUndelivered(t testing.TB, err error) *kissmetrics.UndeliveredError {
	t.Helper()
	undelivered, ok := errors.AsType[*kissmetrics.UndeliveredError](err)
	require.True(t, ok, "%v is no UndeliveredError", err)
	return undelivered
}

// newQueuedClient returns a client whose queue is closed, at the end of the
// test, with whatever is left in it.
func newQueuedClient(t testing.TB, doer kissmetrics.Doer, options ...kissmetrics.QueueOption) *kissmetrics.Client {
	t.Helper()
	client, err := kissmetrics.New(kissmetrics.WithAPIKey(secretKey), kissmetrics.WithDoer(doer),
		kissmetrics.WithTimeout(time.Hour), kissmetrics.WithQueue(options...))
	require.NoError(t, err)
	t.Cleanup(func() { _ = closeNow(client) })
	return client
}

func TestCloseGoesOnTryingUntilAllIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doer := &flaky{begin: time.Now(), until: time.Now().Add(20 * time.Second)}
		client := newQueuedClient(t, doer)
		for i := range 100 {
			require.NoError(t, client.Track(t.Context(), numbered(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		require.NoError(t, client.Close(ctx))
		assert.Equal(t, kissmetrics.Stats{Accepted: 100, Delivered: 100}, client.Stats())
	})
}

func TestCloseHandsBackWhatItCouldNotDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &outcomes{}
		doer := &flaky{begin: time.Now(), until: time.Now().Add(time.Hour)}
		client := newQueuedClient(t, doer, kissmetrics.WithWorkers(3), kissmetrics.WithOnResult(told.note))
		want := []kissmetrics.Record{}
		for i := range 20 {
			require.NoError(t, client.Track(t.Context(), numbered(i)))
			records, _, err := kissmetrics.Transform(numbered(i), time.Time{}, kissmetrics.TransformOptions{})
			require.NoError(t, err)
			want = append(want, records...)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := client.Close(ctx)
		assert.Equal(t, time.Minute, time.Since(start), "neither before the context ends nor after")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		undelivered := requireUndelivered(t, err)
		assert.ElementsMatch(t, want, undelivered.Records)
		for i := range 20 {
			require.ErrorIs(t, told.of(t, numbered(i).Event), kissmetrics.ErrClosed)
		}
		assert.Equal(t, kissmetrics.Stats{Accepted: 20, Dropped: 20, Outage: true}, client.Stats())

		// Again, and by others, it is the same.
		assert.Equal(t, err, client.Close(t.Context()))
		assert.Equal(t, err, client.Flush(t.Context()))
		for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v", err, err, err)} {
			requireNoSecret(t, text)
			assert.Contains(t, text, "20 records undelivered")
		}
	})
}

func TestCloseCancelsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled := make(chan error, 1)
		client := newQueuedClient(t, kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			canceled <- r.Context().Err()
			return nil, r.Context().Err()
		}), kissmetrics.WithWorkers(1))
		require.NoError(t, client.Track(t.Context(), ok))
		synctest.Wait()
		assert.Len(t, requireUndelivered(t, closeNow(client)).Records, 1)
		require.ErrorIs(t, <-canceled, context.Canceled)
	})
}

func TestFlushWaitsForWhatWasAcceptedBeforeItAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGated()
		q := newQueue(t, next, kissmetrics.WithWorkers(1))
		require.NoError(t, q.Flush(t.Context()), "nothing to wait for")
		require.NoError(t, q.Send(t.Context(), event("1")))
		require.NoError(t, q.Send(t.Context(), event("2")))
		flushed := make(chan error, 2)
		for range 2 {
			go func() { flushed <- q.Flush(t.Context()) }()
		}
		synctest.Wait()
		require.NoError(t, q.Send(t.Context(), event("3")))
		next.gate <- struct{}{}
		synctest.Wait()
		assert.Empty(t, flushed)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, q.Flush(ctx), context.DeadlineExceeded)

		next.gate <- struct{}{}
		require.NoError(t, <-flushed)
		require.NoError(t, <-flushed)
		assert.Equal(t, []string{"1", "2"}, next.names())
		close(next.gate)
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, []string{"1", "2", "3"}, next.names())
	})
}

func TestAFlushOfNothingDoesNotFailWhenItsContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := newQueue(t, senderFunc(func(context.Context, []kissmetrics.Record) error { return nil }))
	for range 100 { // it would be by chance
		require.NoError(t, q.Flush(ctx))
	}
}

func TestFlushHasSeenEveryOutcomeToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		q := newQueue(t, &kissmetricstest.Recorder{}, kissmetrics.WithOnResult(func(context.Context, kissmetrics.Record, error) {
			time.Sleep(time.Second)
			told++
		}), kissmetrics.WithWorkers(1))
		for range 3 {
			require.NoError(t, q.Send(t.Context(), event("e")))
		}
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, 3, told)
	})
}

type flushingRecorder struct {
	kissmetricstest.Recorder
	flushes int
	err     error
}

func (f *flushingRecorder) Flush(context.Context) error {
	f.flushes++
	return f.err
}

func TestFlushAndCloseFlushTheNextSenderToo(t *testing.T) {
	next := &flushingRecorder{err: io.ErrShortWrite}
	q := newQueue(t, next)
	require.ErrorIs(t, q.Flush(t.Context()), io.ErrShortWrite)
	require.ErrorIs(t, q.Close(t.Context()), io.ErrShortWrite)
	assert.Equal(t, 2, next.flushes)
}

func TestManyMayCloseAndFlushAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doer := &flaky{begin: time.Now(), until: time.Now().Add(time.Hour)}
		client := newQueuedClient(t, doer)
		for i := range 50 {
			require.NoError(t, client.Track(t.Context(), numbered(i)))
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var errs []error
		start := time.Now()
		for i := range 20 {
			wg.Go(func() {
				// The first context that ends ends the trying.
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Minute)
				defer cancel()
				err := client.Close(ctx)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
			wg.Go(func() { assert.Error(t, client.Flush(t.Context())) })
			synctest.Wait()
			wg.Go(func() { assert.ErrorIs(t, client.Track(t.Context(), ok), kissmetrics.ErrClosed) })
		}
		wg.Wait()
		assert.Equal(t, time.Minute, time.Since(start))
		require.Len(t, errs, 20)
		for _, err := range errs {
			assert.Same(t, requireUndelivered(t, errs[0]), requireUndelivered(t, err))
		}
		assert.Len(t, requireUndelivered(t, errs[0]).Records, 50)
		assert.ErrorIs(t, errs[0], context.DeadlineExceeded)
	})
}

func TestUndeliveredRecordsCanBeStoredAndSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doer := &flaky{begin: time.Now(), until: time.Now().Add(time.Hour)}
		client := newQueuedClient(t, doer)
		require.NoError(t, client.Track(t.Context(), secretive))
		undelivered := requireUndelivered(t, closeNow(client))

		var file strings.Builder
		for _, r := range undelivered.Records {
			line, err := r.MarshalJSON()
			require.NoError(t, err)
			file.Write(append(line, '\n'))
		}
		var again []kissmetrics.Record
		for line := range strings.Lines(file.String()) {
			var r kissmetrics.Record
			require.NoError(t, r.UnmarshalJSON([]byte(line)))
			again = append(again, r)
		}
		want, _, err := kissmetrics.Transform(secretive, time.Time{}, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		assert.Equal(t, want, again)
	})
}

func TestAWaitThatHasNothingMoreToTryDoesNotHoldUpClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			if calls++; calls == 1 {
				return unavailable(records)
			}
			return nil
		}), kissmetrics.WithWorkers(2), kissmetrics.WithBackoff(time.Hour, time.Hour))
		require.NoError(t, q.Send(t.Context(), event("e")))
		synctest.Wait() // one worker waits, and the other has delivered the message
		start := time.Now()
		require.NoError(t, q.Close(t.Context()))
		assert.Zero(t, time.Since(start))
	})
}

// An outage has just ended, but the queue does not know yet: it waits for up to
// 30 seconds. Programs that end have less time than that.
func TestClosingTriesAtOnceWhatWaits(t *testing.T) {
	for range 50 { // the waits are drawn
		synctest.Test(t, func(t *testing.T) {
			var up atomic.Bool
			q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
				if !up.Load() {
					return unavailable(records)
				}
				return nil
			}))
			for range 50 {
				require.NoError(t, q.Send(t.Context(), event("e")))
			}
			time.Sleep(5 * time.Minute)
			up.Store(true)
			start := time.Now()
			require.NoError(t, q.Close(t.Context()))
			require.Zero(t, time.Since(start))
			require.EqualValues(t, 50, q.Stats().Delivered)
		})
	}
}

func TestClosingTriesOnlyOnceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			calls++
			return unavailable(records)
		}), kissmetrics.WithWorkers(1), kissmetrics.WithBackoff(time.Hour, 1000*time.Hour))
		require.NoError(t, q.Send(t.Context(), event("e")))
		synctest.Wait()
		require.Equal(t, 1, calls)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // a wait is longer, but for one in a million
		defer cancel()
		require.Error(t, q.Close(ctx))
		assert.Equal(t, 2, calls)
	})
}

func TestClosingDoesNotTryBeforeTheServerWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Duration
		start := time.Now()
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			if tries = append(tries, time.Since(start)); len(tries) == 1 {
				return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, RetryAfter: 2 * time.Second}
			}
			return nil
		}), kissmetrics.WithWorkers(1), kissmetrics.WithBackoff(time.Hour, time.Hour))
		require.NoError(t, q.Send(t.Context(), event("e")))
		time.Sleep(time.Second)
		require.NoError(t, q.Close(t.Context()))
		assert.Equal(t, []time.Duration{0, 2 * time.Second}, tries)
	})
}

func TestWhatIsHandedBackTellsTheCauseOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the machine is switched off")
		q := newQueue(t, newGated())
		require.NoError(t, q.Send(t.Context(), event("e")))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		err := q.Close(ctx)
		require.ErrorIs(t, err, why)
		assert.Equal(t, event("e"), requireUndelivered(t, err).Records)
		assert.Equal(t, err, q.Close(t.Context()), "again, it is the same")
	})
}
