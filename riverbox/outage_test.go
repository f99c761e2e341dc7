package riverbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// workUntil works a job until it is done or ctx ends, as River does, except that it
// is impatient.
func workUntil(ctx context.Context, t *testing.T, worker *riverbox.Worker, name string) {
	line, err := event("ada", name).MarshalJSON()
	if !assert.NoError(t, err) {
		return
	}
	job := &river.Job[riverbox.Args]{JobRow: &rivertype.JobRow{}, Args: riverbox.Args{Version: 1, Lines: []string{string(line)}}}
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, time.Minute)
		err := worker.Work(attempt, job)
		cancel()
		if err == nil {
			return
		}
		wait := time.Second // it could not keep what it knows of the failure, without River
		if snoozed, ok := errors.AsType[*rivertype.JobSnoozeError](err); ok {
			wait = snoozed.Duration
		}
		<-time.After(wait)
	}
}

// In an outage one job at a time asks whether it is over, however many wait, and
// then all go on within a minute.
func TestAnOutageIsAskedByOneJobAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var requests, underWay, most, delivered atomic.Int64
		worker := riverbox.NewWorker(riverbox.Offline(), senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			requests.Add(1)
			most.Store(max(most.Load(), underWay.Add(1)))
			<-time.After(50 * time.Millisecond)
			underWay.Add(-1)
			if down.Load() {
				return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: records}
			}
			delivered.Add(1)
			return nil
		}))
		down.Store(true)
		var jobs sync.WaitGroup
		for i := range 1000 {
			jobs.Go(func() { workUntil(t.Context(), t, worker, fmt.Sprint(i)) })
		}
		<-time.After(time.Minute)
		assert.Less(t, requests.Load(), int64(100), "in the first minute")
		requests.Store(0)
		most.Store(0)
		<-time.After(time.Hour)
		assert.Less(t, requests.Load(), int64(400), "in the next hour")
		assert.Greater(t, requests.Load(), int64(100))
		assert.EqualValues(t, 1, most.Load(), "at once")
		down.Store(false)
		<-time.After(time.Minute)
		assert.EqualValues(t, 1000, delivered.Load(), "a minute after the outage")
		jobs.Wait()
	})
}

// A job that always fails holds up no others.
func TestAJobThatAlwaysFailsHoldsUpNoOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		worker := riverbox.NewWorker(riverbox.Offline(), senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			<-time.After(50 * time.Millisecond)
			if records[0].Name == "poison" {
				return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Undelivered: records}
			}
			return nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		var poison sync.WaitGroup
		poison.Go(func() { workUntil(ctx, t, worker, "poison") })
		begin := time.Now()
		for i := range 1000 {
			workUntil(t.Context(), t, worker, fmt.Sprint(i))
		}
		require.Less(t, time.Since(begin), 60*time.Second, "of which the deliveries take 50")
		cancel()
		poison.Wait()
	})
}

// What was under way together and failed together is one failure more, and not many:
// the first waits are short.
func TestAShortOutageIsOverSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			up := time.Now().Add(100 * time.Millisecond)
			worker := riverbox.NewWorker(riverbox.Offline(), senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
				<-time.After(50 * time.Millisecond)
				if time.Now().Before(up) {
					return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: records}
				}
				return nil
			}))
			var jobs sync.WaitGroup
			for i := range 8 {
				jobs.Go(func() { workUntil(t.Context(), t, worker, fmt.Sprint(i)) })
			}
			jobs.Wait()
			assert.Less(t, time.Since(up), 5*time.Second)
		}
	})
}
