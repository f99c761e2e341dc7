package riverbox_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// After a clock was put back by hours, or on a machine whose clock is ahead, jobs are
// due hours later, and a leader whose clock is behind makes none available.
func TestARelayDoesNotWaitForAClockThatWasPutBack(t *testing.T) {
	t.Parallel()
	b := open(t, newDatabase(t))
	for i, job := range []struct{ state, due string }{
		{"available", "3 hours"},
		{"scheduled", "3 hours"},
		{"retryable", "3 hours"},
		{"available", "400 days"},
		{"scheduled", "-1 minute"},
		{"retryable", "-1 minute"},
		{"scheduled", "5 minutes"},
		{"available", "5 minutes"},
	} {
		require.NoError(t, b.Send(t.Context(), events(fmt.Sprintf("ada-%d", i), 1)))
		b.must(`UPDATE river_job SET state = $1, scheduled_at = now() + $2::text::interval WHERE id = (SELECT max(id) FROM river_job)`, job.state, job.due)
	}
	// Another leader, which does nothing.
	b.must(`INSERT INTO river_leader (leader_id, elected_at, expires_at) VALUES ('another', now(), now() + interval '1 hour')`)
	var log trial.Log
	relay := open(t, b.pool.Config().ConnString(), riverbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	relay.run(&kissmetricstest.Recorder{})
	b.await(6, rivertype.JobStateCompleted)
	assert.EqualValues(t, 2, b.stats().Waiting, "the waits of failures")
	assert.Contains(t, log.String(), "a clock may be wrong")
}

// The time of an attempt is the database's, and River reckons that of the next one here:
// it would be in the past.
func TestAMachineWhoseClockIsBehindWaitsAllTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		worker := riverbox.NewWorker(riverbox.Offline(), &kissmetricstest.Recorder{})
		for late, waits := range map[time.Duration]time.Duration{3 * time.Hour: 10 * time.Second, time.Second: time.Second, -time.Hour: 0} {
			began := time.Now()
			attempted := began.Add(late)
			_, ok := errors.AsType[*river.JobSnoozeError](worker.Work(t.Context(), &river.Job[riverbox.Args]{
				JobRow: &rivertype.JobRow{AttemptedAt: &attempted}, Args: riverbox.Args{Version: 99}, // of a newer program
			}))
			require.True(t, ok)
			assert.Equal(t, waits, time.Since(began), "behind by %v", late)
		}
	})
}

// A clock that jumps ahead for a moment, while something on the way refuses all, parks
// nothing: it must have been refused 50 times, too.
func TestADayThatAClockSkipsDoesNotCount(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		return &kissmetricstest.Fault{Status: http.StatusForbidden}
	})
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 1)))
	b.must(`UPDATE river_job SET metadata = jsonb_build_object('kissmetrics', jsonb_build_object('refused_since', now() - interval '2 days', 'refusals', 45))`)
	b.deliver(httpSender(t, server))
	b.await(1, rivertype.JobStateCancelled) // for it was tried often enough
	assert.Len(t, server.Requests(), 5)
}
