package kissmetrics_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// deaf returns a Doer that does not hear that its request was cancelled. Requests for
// events of a name wait until release is closed, and then end as end says.
func deaf(name string, release <-chan struct{}, end func() (*http.Response, error)) kissmetrics.DoerFunc {
	return func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Get("_n") != name {
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}
		<-release
		return end()
	}
}

func TestCloseLeavesBehindWhatDoesNotHeedItsContext(t *testing.T) {
	for name, end := range map[string]func() (*http.Response, error){
		"and is delivered at last": func() (*http.Response, error) { return &http.Response{StatusCode: http.StatusOK}, nil },
		"and fails at last":        func() (*http.Response, error) { return nil, errors.New("late") },
		"and panics at last":       func() (*http.Response, error) { panic("late") },
		"and ends its goroutine":   func() (*http.Response, error) { runtime.Goexit(); return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told, release := &outcomes{}, make(chan struct{})
				client := newQueuedClient(t, deaf("e1", release, end), kissmetrics.WithOnResult(told.note))
				for i := range 3 {
					require.NoError(t, client.Track(t.Context(), numbered(i)))
				}
				flushed := make(chan error)
				go func() { flushed <- client.Flush(t.Context()) }()
				synctest.Wait()

				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := client.Close(ctx)
				assert.Equal(t, time.Minute+time.Second, time.Since(start))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "1 records undelivered")
				require.ErrorContains(t, err, "calls that go on although they were cancelled: 1")
				assert.Equal(t, "e1", requireUndelivered(t, err).Records[0].Name)
				assert.Equal(t, err, <-flushed)

				close(release)
				synctest.Wait()
				require.NoError(t, told.of(t, "e0"))
				require.ErrorIs(t, told.of(t, "e1"), kissmetrics.ErrClosed, "and nothing else, later")
				assert.Equal(t, kissmetrics.Stats{Accepted: 3, Delivered: 2, Dropped: 1}, client.Stats())
				assert.Equal(t, err, client.Close(t.Context()), "again, it is the same")
			})
		})
	}
}

func TestWhatWaitsBehindACallThatDoesNotHeedItsContextIsHandedBackToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		client := newQueuedClient(t, deaf("e0", release, func() (*http.Response, error) { return nil, errors.New("late") }), kissmetrics.WithWorkers(1))
		for i := range 10 {
			require.NoError(t, client.Track(t.Context(), numbered(i)))
		}
		synctest.Wait()
		var names []string
		for _, r := range requireUndelivered(t, closeNow(client)).Records {
			names = append(names, r.Name)
		}
		var want []string
		for i := range 10 {
			want = append(want, "e"+strconv.Itoa(i))
		}
		assert.ElementsMatch(t, want, names)
	})
}

func TestManyThatCloseAreNotHeldUpEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		client := newQueuedClient(t, deaf("e0", release, func() (*http.Response, error) { return nil, errors.New("late") }))
		require.NoError(t, client.Track(t.Context(), numbered(0)))
		var closing sync.WaitGroup
		start := time.Now()
		for i := range 10 {
			closing.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(i)*300*time.Millisecond)
				defer cancel()
				assert.Len(t, requireUndelivered(t, client.Close(ctx)).Records, 1)
			})
		}
		closing.Wait()
		assert.Equal(t, time.Minute+time.Second, time.Since(start), "a second after the first context has ended")
	})
}

// A call that needs a moment to end tells what became of its records.
func TestCloseWaitsASecondForWhatItHasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &outcomes{}
		q := newQueue(t, senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
			<-ctx.Done()
			time.Sleep(900 * time.Millisecond)
			return nil // it was just in time
		}), kissmetrics.WithOnResult(told.note))
		require.NoError(t, q.Send(t.Context(), event("e")))
		synctest.Wait()
		require.NoError(t, closeNow(q))
		require.NoError(t, told.of(t, "e"))
		assert.Equal(t, kissmetrics.Stats{Accepted: 1, Delivered: 1}, q.Stats())
	})
}

// The function of WithOnResult is the caller's own, has no context to heed, and holds
// up whatever calls it.
func TestCloseWaitsForWhatIsToldOfOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := false
		q := newQueue(t, senderFunc(func(context.Context, []kissmetrics.Record) error { return nil }),
			kissmetrics.WithOnResult(func(context.Context, kissmetrics.Record, error) {
				time.Sleep(time.Minute)
				told = true
			}))
		require.NoError(t, q.Send(t.Context(), event("e")))
		synctest.Wait()
		require.NoError(t, closeNow(q))
		assert.True(t, told)
	})
}
