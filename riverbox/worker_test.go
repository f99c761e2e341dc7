package riverbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// senderFunc is a function as a Sender.
type senderFunc func(ctx context.Context, records []kissmetrics.Record) error

func (f senderFunc) Send(ctx context.Context, records []kissmetrics.Record) error {
	return f(ctx, records)
}

func TestOtherPropertiesOfTheSameSecondAllArrive(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	b := open(t, newDatabase(t))
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, b.Send(t.Context(), []kissmetrics.Record{set("ada", property(name, "1"))}))
	}
	b.deliver(httpSender(t, server))
	b.await(3, rivertype.JobStateCompleted)
	assert.Equal(t, map[string]string{"a": "1", "b": "1", "c": "1"}, server.Properties("ada"))
	assert.Empty(t, server.Ignored())
}

func TestAnOutageCostsNoAttempt(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	var failures atomic.Int64
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		failures.Add(1)
		return &kissmetricstest.Fault{Status: http.StatusServiceUnavailable}
	})
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 2)))
	b.deliver(httpSender(t, server))
	require.Eventually(t, func() bool { return failures.Load() >= 6 }, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		job := b.jobs()[0]
		return job.State == rivertype.JobStateAvailable && bytes.Contains(job.Metadata, []byte("503 Service Unavailable"))
	}, patience, time.Millisecond, "the reason is told")
	server.FailWith(nil)
	job := b.await(1, rivertype.JobStateCompleted)[0]
	assert.Equal(t, 1, job.Attempt)
	assert.Empty(t, job.Errors)
	assert.Len(t, server.Events("ada"), 2)
	assert.NotContains(t, string(job.Metadata), "503", "what was kept of the failures is gone")
}

func TestADeliveryGoesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{}, kissmetricstest.Fault{}, kissmetricstest.Fault{Status: 503})
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 5)))
	b.deliver(httpSender(t, server))
	b.await(1, rivertype.JobStateCompleted)
	assert.Len(t, server.Events("ada"), 5)
	assert.Len(t, server.Requests(), 6, "only the one that failed is repeated")
	assert.Empty(t, server.Ignored())
}

// The waits begin anew after an attempt that achieved something.
func TestProgressForgetsTheFailuresBefore(t *testing.T) {
	t.Parallel()
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 2)))
	attempts := 0
	failures := make(chan int, 5) // as they are kept when an attempt begins
	b.deliver(senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
		var kept struct {
			Own struct{ Failures int } `json:"kissmetrics"`
		}
		var metadata []byte
		if err := b.pool.QueryRow(ctx, "SELECT metadata FROM river_job").Scan(&metadata); err != nil {
			return err
		}
		if err := json.Unmarshal(metadata, &kept); err != nil {
			return err
		}
		failures <- kept.Own.Failures
		switch attempts++; attempts {
		case 1, 2, 3:
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: records}
		case 4:
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: records[:1], Undelivered: records[1:]}
		}
		return nil
	}))
	b.await(1, rivertype.JobStateCompleted)
	for _, want := range []int{0, 1, 2, 3, 1} {
		assert.Equal(t, want, <-failures)
	}
}

func TestAMessageMayTakeLongerThanAJob(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		return &kissmetricstest.Fault{Delay: 100 * time.Millisecond}
	})
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 10))) // a second
	c := config(riverbox.NewWorker(b.Sender, httpSender(t, server)))
	c.JobTimeout = 350 * time.Millisecond
	b.work(c)
	b.await(1, rivertype.JobStateCompleted)
	assert.Len(t, server.Events("ada"), 10)
}

func TestRetryAfterHoldsBackAllJobs(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	var until atomic.Int64
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		if until.CompareAndSwap(0, time.Now().Add(900*time.Millisecond).UnixNano()) || time.Now().UnixNano() < until.Load() {
			return &kissmetricstest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"}
		}
		return nil
	})
	b := open(t, newDatabase(t))
	for _, person := range []string{"a", "b", "c", "d", "e"} {
		require.NoError(t, b.Send(t.Context(), events(person, 1)))
	}
	c := config(riverbox.NewWorker(b.Sender, httpSender(t, server)))
	c.Queues[riverbox.Queue] = river.QueueConfig{MaxWorkers: 1}
	b.work(c)
	b.await(5, rivertype.JobStateCompleted)
	assert.Len(t, server.Requests(), 6, "no job but the first was told to wait")
}

// A shorter wish of the same moment does not shorten a longer one.
func TestTheLongestRetryAfterCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		longer := make(chan struct{})
		worker := riverbox.NewWorker(riverbox.Offline(), senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			failed := &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: records, RetryAfter: time.Hour}
			switch records[0].Name {
			case "first":
				<-longer
				failed.RetryAfter = time.Second
			case "third":
				assert.Fail(t, "it is sent although the server wants to be left alone")
			}
			return failed
		}))
		work := func(name string) error {
			line, err := event("ada", name).MarshalJSON()
			require.NoError(t, err)
			return worker.Work(t.Context(), &river.Job[riverbox.Args]{
				JobRow: &rivertype.JobRow{}, Args: riverbox.Args{Version: 1, Lines: []string{string(line)}},
			})
		}
		var first sync.WaitGroup
		first.Go(func() { assert.Error(t, work("first")) })
		synctest.Wait()
		require.Error(t, work("second"))
		close(longer)
		first.Wait()
		snoozed, ok := errors.AsType[*rivertype.JobSnoozeError](work("third"))
		require.True(t, ok)
		// It has waited for ten seconds in its worker, so that River fetches no other.
		assert.GreaterOrEqual(t, snoozed.Duration, 5*time.Minute-10*time.Second, "it waits for five minutes at most")
		assert.Less(t, snoozed.Duration, 5*time.Minute-9*time.Second)
	})
}

func TestAWorkerOfNoSenderEndsNoJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line, err := event("ada", "e").MarshalJSON()
		require.NoError(t, err)
		worker := riverbox.NewWorker(nil, &kissmetricstest.Recorder{})
		for name, args := range map[string]riverbox.Args{
			"records":    {Version: 1, Lines: []string{string(line)}},
			"unreadable": {Version: 1, Lines: []string{"{"}},
			"nothing":    {},
			"newer":      {Version: 2},
		} {
			err := worker.Work(t.Context(), &river.Job[riverbox.Args]{JobRow: &rivertype.JobRow{}, Args: args})
			require.Error(t, err, name)
			_, isParked := errors.AsType[*rivertype.JobCancelError](err)
			assert.False(t, isParked, name)
		}
		assert.NotPanics(t, func() { worker.NextRetry(&river.Job[riverbox.Args]{JobRow: &rivertype.JobRow{}}) })
	})
}

func TestANilNextSenderIsAFailureThatIsTold(t *testing.T) {
	t.Parallel()
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 1)))
	var none *kissmetrics.HTTPSender
	b.deliver(none)
	require.Eventually(t, func() bool {
		return bytes.Contains(b.jobs()[0].Metadata, []byte("the next sender is nil"))
	}, patience, 5*time.Millisecond)
}

func TestAPanicTellsNothing(t *testing.T) {
	t.Parallel()
	var log trial.Log
	var calls atomic.Int64
	b := open(t, newDatabase(t))
	c := config(riverbox.NewWorker(b.Sender, senderFunc(func(context.Context, []kissmetrics.Record) error {
		switch calls.Add(1) {
		case 1:
			panic("s3cret")
		case 2:
			return fmt.Errorf("s3cret")
		}
		return nil
	})))
	c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	require.NoError(t, b.Send(t.Context(), events("ada-s3cret", 1)))
	b.work(c)
	job := b.await(1, rivertype.JobStateCompleted)[0]
	assert.Equal(t, int64(3), calls.Load())
	assert.NotContains(t, string(job.Metadata), "s3cret")
	assert.NotEmpty(t, log.String())
	assert.NotContains(t, log.String(), "s3cret")
}

func TestStoppingFreesAJobAtOnce(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	arrived := make(chan struct{}, 1)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		if r.Form.Get("_n") == "Event 2" {
			arrived <- struct{}{}
			return &kissmetricstest.Fault{Delay: time.Hour}
		}
		return nil
	})
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 4)))
	_, stop := b.work(config(riverbox.NewWorker(b.Sender, httpSender(t, server))))
	<-arrived
	stop()
	job := b.jobs(rivertype.JobStateAvailable)
	require.Len(t, job, 1)
	assert.Zero(t, job[0].Attempt)
	assert.NotContains(t, string(job[0].Metadata), "snoozes", "it need not wait")
	server.FailWith(nil)
	b.deliver(httpSender(t, server))
	b.await(1, rivertype.JobStateCompleted)
	assert.Len(t, server.Events("ada"), 4)
	assert.Len(t, server.Requests(), 5, "it went on with the third")
}

// With answers that take 50 milliseconds, 8 deliveries at once would be 160 a second.
func TestAWorkerHasAsManyUnderWayAsGoThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ceiling = 64
		var under, most atomic.Int32
		worker := riverbox.NewWorker(riverbox.Offline(riverbox.WithWorkers(ceiling)), senderFunc(func(context.Context, []kissmetrics.Record) error {
			n := under.Add(1)
			defer under.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(50 * time.Millisecond)
			return nil
		}))
		line, err := event("ada", "E").MarshalJSON()
		require.NoError(t, err)
		began := time.Now()
		var jobs sync.WaitGroup
		for range 2 * ceiling { // as many as River runs at once
			jobs.Go(func() {
				for range 100 {
					assert.NoError(t, worker.Work(t.Context(), &river.Job[riverbox.Args]{
						JobRow: &rivertype.JobRow{}, Args: riverbox.Args{Version: 1, Lines: []string{string(line)}},
					}))
				}
			})
		}
		jobs.Wait()
		assert.EqualValues(t, ceiling, most.Load())
		assert.Less(t, time.Since(began), 2*ceiling*100*50*time.Millisecond/8/5, "five times as fast, by the bubble's clock")
	})
}

func TestAJobThatWaitsForItsTurnWhenTheClientStopsIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		worker := riverbox.NewWorker(riverbox.Offline(riverbox.WithWorkers(1)), senderFunc(func(context.Context, []kissmetrics.Record) error {
			<-release
			return nil
		}))
		line, err := event("ada", "E").MarshalJSON()
		require.NoError(t, err)
		work := func(ctx context.Context) error {
			return worker.Work(ctx, &river.Job[riverbox.Args]{JobRow: &rivertype.JobRow{}, Args: riverbox.Args{Version: 1, Lines: []string{string(line)}}})
		}
		var first sync.WaitGroup
		first.Go(func() { assert.NoError(t, work(t.Context())) })
		synctest.Wait()
		stopped, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		require.ErrorIs(t, work(stopped), context.Canceled)
		late, cancel := context.WithTimeout(t.Context(), time.Minute) // River's JobTimeout
		defer cancel()
		_, snoozed := errors.AsType[*rivertype.JobSnoozeError](work(late))
		assert.True(t, snoozed, "that costs no attempt")
		close(release)
		first.Wait()
	})
}

func TestAnHTTPSenderTriesEachRecordOnceAnAttempt(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{Status: http.StatusBadGateway})
	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(apiKey), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithBackoff(time.Hour, time.Hour))
	require.NoError(t, err)
	defer next.CloseIdleConnections()
	line, err := event("ada", "E").MarshalJSON()
	require.NoError(t, err)
	job := &river.Job[riverbox.Args]{JobRow: &rivertype.JobRow{}, Args: riverbox.Args{Version: 1, Lines: []string{string(line)}}}
	require.Error(t, riverbox.NewWorker(riverbox.Offline(), next).Work(t.Context(), job))
	assert.Len(t, server.Requests(), 1)
}
