package kissmetrics_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// flaky is a Doer whose server is down until a time, and whose requests take a
// while, so that there can be several under way.
type flaky struct {
	mu       sync.Mutex
	until    time.Time
	status   int // while it is down; zero is no answer
	after    string
	poison   string // the event that is always refused
	failed   []time.Time
	done     []time.Time
	now, top int // under way, and the most of them while it was down for more than a minute
	begin    time.Time
}

func (f *flaky) Do(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.now++
	if time.Since(f.begin) > time.Minute && time.Now().Before(f.until) {
		f.top = max(f.top, f.now)
	}
	f.mu.Unlock()
	select {
	case <-time.After(100 * time.Millisecond):
	case <-r.Context().Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
	switch {
	case f.poison != "" && r.URL.Query().Get("_n") == f.poison:
		response.StatusCode = http.StatusBadRequest
	case time.Now().Before(f.until):
		f.failed = append(f.failed, time.Now())
		if f.status == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		response.StatusCode = f.status
		if f.after != "" {
			response.Header.Set("Retry-After", f.after)
		}
	default:
		f.done = append(f.done, time.Now())
	}
	return response, nil
}

func numbered(i int) kissmetrics.Track {
	return kissmetrics.Track{UserID: "u", Event: "e" + strconv.Itoa(i), Timestamp: second}
}

func TestAnHourWithoutTheServerLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const outage, step = time.Hour, 30 * time.Second
		var log bytes.Buffer
		doer := &flaky{begin: time.Now(), until: time.Now().Add(outage)}
		client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithBackoff(time.Second, step),
			kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))),
			kissmetrics.WithQueue(kissmetrics.WithWorkers(8)))
		const events = 2 * 3600
		for i := range events {
			require.NoError(t, client.Track(t.Context(), numbered(i)))
			time.Sleep(outage / events)
			requireConserved(t, client.Stats())
			if i == events/2 {
				assert.True(t, client.Stats().Outage)
				assert.Equal(t, int64(i+1), client.Stats().Waiting)
			}
		}
		require.NoError(t, client.Close(t.Context()))
		assert.Equal(t, kissmetrics.Stats{Accepted: events, Delivered: events}, client.Stats())

		assert.Equal(t, 1, doer.top, "an outage is probed by one worker")
		// One wait is 15 s on average, so there are about 240 of them.
		assert.Less(t, len(doer.failed), 400)
		assert.Greater(t, len(doer.failed), 120)
		assert.LessOrEqual(t, doer.done[0].Sub(doer.until), step+200*time.Millisecond, "resumes within one step")
		assert.Less(t, doer.done[events-1].Sub(doer.done[0]), events/8*110*time.Millisecond, "by all workers")
		assert.Equal(t, 1, strings.Count(log.String(), "deliveries fail"), log.String())
		assert.Equal(t, 1, strings.Count(log.String(), "level=INFO"), log.String())
		assert.Contains(t, log.String(), "connection closed before the answer")
		requireNoSecret(t, log.String())
	})
}

func TestRetryAfterPausesEveryone(t *testing.T) {
	for after, want := range map[string]time.Duration{"120": 2 * time.Minute, "86400": 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			doer := &flaky{begin: start, until: start.Add(time.Second), status: http.StatusTooManyRequests, after: after}
			client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithQueue(kissmetrics.WithWorkers(4)))
			for i := range 20 {
				require.NoError(t, client.Track(t.Context(), numbered(i)))
			}
			require.NoError(t, client.Close(t.Context()))
			require.Len(t, doer.done, 20)
			assert.LessOrEqual(t, len(doer.failed), 4, "but for those that were under way")
			assert.GreaterOrEqual(t, doer.done[0].Sub(start), want)
			assert.Less(t, doer.done[0].Sub(start), want+time.Second)
		})
	}
}

func TestARetryAfterThatComesLateCountsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, calls := time.Now(), 0
		var resumed time.Duration
		var mu sync.Mutex
		next := senderFunc(func(context.Context, []kissmetrics.Record) error {
			mu.Lock()
			calls++
			call := calls
			mu.Unlock()
			switch call {
			case 1:
				time.Sleep(time.Millisecond)
				return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, RetryAfter: time.Second}
			case 2: // it was under way when the first failed
				time.Sleep(500 * time.Millisecond)
				return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, RetryAfter: time.Minute}
			case 3:
				resumed = time.Since(start)
			}
			return nil
		})
		q := newQueue(t, next, kissmetrics.WithWorkers(2))
		require.NoError(t, q.Send(t.Context(), event("a")))
		require.NoError(t, q.Send(t.Context(), event("b")))
		require.NoError(t, q.Close(t.Context()))
		assert.Equal(t, time.Minute+500*time.Millisecond, resumed)
	})
}

func TestARecordThatIsRefusedOnItsWayHoldsUpNothingAndIsFailedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &outcomes{}
		doer := &flaky{poison: "e0"}
		client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithQueue(kissmetrics.WithWorkers(1), kissmetrics.WithOnResult(told.note)))
		start := time.Now()
		for i := range 10 {
			require.NoError(t, client.Track(t.Context(), numbered(i)))
		}
		time.Sleep(time.Minute)
		assert.EqualValues(t, 9, client.Stats().Delivered, "the others do not wait for it")
		assert.EqualValues(t, 1, client.Stats().Waiting)
		require.NoError(t, client.Flush(t.Context()))
		assert.GreaterOrEqual(t, time.Since(start), 24*time.Hour)
		assert.Less(t, time.Since(start), 24*time.Hour+time.Minute)
		require.NoError(t, client.Close(t.Context()))
		assert.Equal(t, http.StatusBadRequest, requireDelivery(t, told.of(t, "e0")).StatusCode)
		assert.Equal(t, kissmetrics.Stats{Accepted: 10, Delivered: 9, Failed: 1}, client.Stats())
	})
}

func TestWhatFailsAgainAndAgainDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var names []string
		next := senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if records[0].Name == "unlucky" {
				return io.ErrUnexpectedEOF
			}
			names = append(names, records[0].Name)
			return nil
		})
		q := newQueue(t, next, kissmetrics.WithWorkers(2))
		require.NoError(t, q.Send(t.Context(), event("unlucky")))
		for i := range 50 {
			require.NoError(t, q.Send(t.Context(), event(strconv.Itoa(i))))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Len(t, names, 50)
		assert.EqualValues(t, 1, q.Stats().Waiting)
	})
}

// A firewall dislikes one record in ten, for as long as they are tried.
func TestRecordsThatAreNeverTakenDoNotHoldUpTheOthers(t *testing.T) {
	for name, failure := range map[string]func([]kissmetrics.Record) error{
		"refused": func(records []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: 403, Undelivered: slices.Clone(records)}
		},
		"unavailable": unavailable,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int64
				q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
					time.Sleep(50 * time.Millisecond)
					if records[0].Name == "disliked" {
						tries.Add(1)
						return failure(records)
					}
					return nil
				}))
				const seconds, disliked = 60, 10 * 60
				for i := range seconds * 100 {
					name := "liked"
					if i%10 == 5 {
						name = "disliked"
					}
					require.NoError(t, q.Send(t.Context(), event(name)))
					time.Sleep(10 * time.Millisecond)
				}
				assert.Less(t, q.Stats().Waiting, int64(disliked+50), "what is liked waits for half a second at most")
				assert.Less(t, tries.Load(), int64(disliked+10*seconds), "and not because the others are tried all the time")
			})
		})
	}
}

// In an outage, what has not been tried tells more than what has failed before.
func TestInAnOutageWhatHasNotFailedIsTriedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := make(chan string, 1000)
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			if tried <- records[0].Name; records[0].Name != "good" {
				return unavailable(records)
			}
			return nil
		}), kissmetrics.WithWorkers(1), kissmetrics.WithBackoff(time.Second, time.Second))
		for range 20 {
			require.NoError(t, q.Send(t.Context(), event("bad")))
		}
		time.Sleep(time.Minute)
		for len(tried) > 0 {
			<-tried
		}
		require.NoError(t, q.Send(t.Context(), event("good")))
		assert.Equal(t, "good", <-tried)
	})
}

func TestAnOutageIsOneEvenWhenItsMessagesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		start := time.Now()
		var tries []time.Duration
		next := senderFunc(func(context.Context, []kissmetrics.Record) error {
			tries = append(tries, time.Since(start))
			if time.Since(start) < time.Hour {
				return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, RetryAfter: time.Minute}
			}
			return nil
		})
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(1, 1000),
			kissmetrics.WithFullPolicy(kissmetrics.FullDropOldest), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		// Each drops the one that waits to be tried again. None is sent at a full
		// minute, when that one may be under way and cannot be dropped.
		for time.Since(start) < time.Hour {
			require.NoError(t, q.Send(t.Context(), event("e")))
			time.Sleep(7*time.Second + time.Millisecond)
		}
		require.NoError(t, q.Close(t.Context()))
		for i := 1; i < len(tries); i++ {
			assert.GreaterOrEqual(t, tries[i]-tries[i-1], time.Minute)
		}
		assert.Equal(t, 1, strings.Count(log.String(), "deliveries fail"), log.String())
		assert.Equal(t, 1, strings.Count(log.String(), "deliveries succeed again"), log.String())
		assert.LessOrEqual(t, strings.Count(log.String(), "were not delivered"), 61, "losses are told once a minute")
	})
}

// unavailable is the failure of a server that cannot be reached.
func unavailable(records []kissmetrics.Record) error {
	return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: slices.Clone(records)}
}

func TestAfterAnOutageTheNextOneBeginsWithShortWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			if !up.Load() {
				return unavailable(records)
			}
			return nil
		}), kissmetrics.WithWorkers(1), kissmetrics.WithBackoff(time.Second, time.Hour))
		require.NoError(t, q.Send(t.Context(), event("first")))
		time.Sleep(24 * time.Hour)
		up.Store(true)
		require.NoError(t, q.Flush(t.Context()))

		up.Store(false)
		require.NoError(t, q.Send(t.Context(), event("second")))
		time.Sleep(10 * time.Second)
		up.Store(true)
		start := time.Now()
		require.NoError(t, q.Flush(t.Context()))
		assert.Less(t, time.Since(start), time.Minute, "the waits have grown for 10 seconds and not for a day")
	})
}

func TestASenderThatEndsItsGoroutineFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		calls := 0
		q := newQueue(t, senderFunc(func(context.Context, []kissmetrics.Record) error {
			if calls++; calls < 1000 && time.Now().Minute() == 0 {
				runtime.Goexit()
			}
			return nil
		}), kissmetrics.WithWorkers(1), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, q.Send(t.Context(), event("e")))
		require.NoError(t, q.Close(t.Context()))
		assert.Less(t, calls, 100, "it is tried again after waits")
		assert.Contains(t, log.String(), "a delivery has ended its goroutine")
		assert.Contains(t, log.String(), "deliveries succeed again")
	})
}

func TestAProberWhoseGoroutineEndsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			switch calls++; {
			case calls <= 3:
				return unavailable(records)
			case calls == 4:
				runtime.Goexit()
			}
			return nil
		}), kissmetrics.WithWorkers(1))
		require.NoError(t, q.Send(t.Context(), event("e")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, q.Close(ctx))
		assert.Equal(t, kissmetrics.Stats{Accepted: 1, Delivered: 1}, q.Stats())
	})
}
