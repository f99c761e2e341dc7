package riverbox_test

import (
	"context"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// must executes SQL.
func (b *box) must(sql string, args ...any) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

// sendScheduled stores a message as one that waits for another attempt, which only
// River's leader makes available.
func (b *box) sendScheduled(person string) {
	b.t.Helper()
	require.NoError(b.t, pgx.BeginFunc(b.t.Context(), b.pool, func(tx pgx.Tx) error {
		if err := b.SendTx(b.t.Context(), tx, events(person, 1)); err != nil {
			return err
		}
		_, err := tx.Exec(b.t.Context(), `UPDATE river_job SET state = 'scheduled' WHERE id = (SELECT max(id) FROM river_job)`)
		return err
	}))
}

// dropDatabase drops the database of a URL while others use it.
func dropDatabase(t testing.TB, databaseURL string) {
	t.Helper()
	database, err := url.Parse(databaseURL)
	require.NoError(t, err)
	require.NoError(t, execute(t.Context(), shared, "DROP DATABASE "+strings.TrimPrefix(database.Path, "/")+" WITH (FORCE)"))
}

// Whatever vanishes under a relay, it goes on within seconds, or says why it cannot
// and ends.
func TestARelayNeverStandsStill(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		vanish func(relay, other *box, url string)
		ends   string // with this, or goes on
	}{
		{"its connections are cut", func(_, other *box, _ string) {
			other.must(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		}, ""},
		{"River has no leader", func(_, other *box, _ string) { other.must(`DELETE FROM river_leader`) }, ""},
		{"River has a leader that is dead", func(_, other *box, _ string) {
			other.must(`UPDATE river_leader SET leader_id = 'dead', elected_at = now(), expires_at = now() + interval '5 seconds'`)
		}, ""},
		{"its jobs are deleted", func(_, other *box, _ string) { other.must(`TRUNCATE river_job`) }, ""},
		{"the table is dropped", func(_, other *box, _ string) { other.must(`DROP TABLE river_job CASCADE`) }, "42P01"},
		{"the database is dropped", func(relay, _ *box, url string) { dropDatabase(relay.t, url) }, "3D000"},
		{"jobs of another kind come", func(_, other *box, _ string) {
			other.must(`INSERT INTO river_job (kind, queue, args, max_attempts) VALUES ('another', 'default', '{}', 25)`)
		}, "River jobs of other kinds"},
		{"the pool is closed", func(relay, _ *box, _ string) { relay.pool.Close() }, "closed pool"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := newDatabase(t)
			relay, other := open(t, url), open(t, url)
			server := kissmetricstest.NewServer(t)
			ended, _ := relay.run(httpSender(t, server))
			require.NoError(t, other.Send(t.Context(), events("before", 1)))
			require.NoError(t, other.Flush(t.Context()))

			tt.vanish(relay, other, url)
			if tt.ends != "" {
				select {
				case err := <-ended:
					require.ErrorContains(t, err, "the relay cannot go on")
					require.ErrorContains(t, err, tt.ends)
				case <-time.After(patience):
					require.Fail(t, "the relay runs on")
				}
				return
			}
			server.Fail(kissmetricstest.Fault{Status: 503}) // so that something waits for another attempt
			for i := range 10 {
				require.NoError(t, other.Send(t.Context(), events("after-"+strconv.Itoa(i), 1)))
			}
			other.sendScheduled("scheduled")
			require.NoError(t, other.Flush(t.Context()))
			assert.Len(t, server.Events("scheduled"), 1)
			for i := range 10 {
				assert.Len(t, server.Events("after-"+strconv.Itoa(i)), 1)
			}
			assert.Empty(t, ended, "the relay runs on")
		})
	}
}

func TestARelayWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	var log trial.Log
	b := open(t, cluster.URL("river"), riverbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, b.Send(t.Context(), events("before", 1)))
	require.NoError(t, cluster.Kill(t.Context()))
	next := &kissmetricstest.Recorder{}
	ended, stop := b.run(next)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "does not reach the database") }, patience, 10*time.Millisecond)
	require.NoError(t, cluster.Restart(t.Context()))
	require.Eventually(t, func() bool { return len(next.Records()) == 1 }, patience, 10*time.Millisecond)

	require.NoError(t, cluster.Kill(t.Context())) // and while it runs
	for range 3 {
		err := b.Send(t.Context(), []kissmetrics.Record{event("ada-s3cret", "E", property("a", "s3cret"))})
		require.ErrorIs(t, err, riverbox.ErrNotStored)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	require.NoError(t, cluster.Restart(t.Context()))
	require.Eventually(t, func() bool { return b.Send(t.Context(), events("after", 1)) == nil }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return len(next.Records()) == 2 }, patience, 10*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

func TestARelayIsForItsOwnTables(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"another", "zzz"} {
		b := open(t, newDatabase(t))
		b.must(`INSERT INTO river_job (kind, queue, args, max_attempts) VALUES ($1, 'default', '{}', 25)`, kind)
		err := b.Run(t.Context(), &kissmetricstest.Recorder{})
		require.ErrorContains(t, err, "River jobs of other kinds", "as their leader it would discard them")
	}
}

func TestStatsTellARelayWithoutProgressFromAnIdleOne(t *testing.T) {
	t.Parallel()
	b := open(t, newDatabase(t))
	assert.Zero(t, b.stats(), "nothing is stored")
	release := make(chan struct{})
	b.run(senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		if records[0].Person == "stuck" {
			<-release
		}
		return nil
	}))
	require.NoError(t, b.Send(t.Context(), events("ada", 1)))
	require.NoError(t, b.Flush(t.Context()))
	assert.Zero(t, b.stats(), "it is idle")

	require.NoError(t, b.Send(t.Context(), events("stuck", 3)))
	require.Eventually(t, func() bool { return b.stats().Stalled > 300*time.Millisecond }, patience, 5*time.Millisecond)
	stuck := b.stats()
	assert.EqualValues(t, 3, stuck.Waiting, "records")
	assert.EqualValues(t, 1, stuck.WaitingMessages)
	assert.EqualValues(t, 1, stuck.UnderWay)
	assert.WithinDuration(t, time.Now(), stuck.Oldest, patience)
	b.must("UPDATE river_job SET finalized_at = now() + interval '1 year' WHERE state = 'completed'")
	assert.GreaterOrEqual(t, b.stats().Stalled, stuck.Stalled, "the clock of the machine that delivered another was ahead")
	require.NoError(t, b.Send(t.Context(), events("bob", 1)))
	b.await(2, rivertype.JobStateCompleted)
	after := b.stats()
	assert.Less(t, after.Stalled, after.OldestAge, "another message got through")
	close(release)
	require.NoError(t, b.Flush(t.Context()))
	assert.Zero(t, b.stats())
}

func TestItIsToldThatTheQueueIsPaused(t *testing.T) {
	t.Parallel()
	const told = "the queue is paused"
	var log trial.Log
	b := open(t, newDatabase(t), riverbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	var recorder kissmetricstest.Recorder
	b.run(&recorder)
	require.Eventually(t, func() bool { return b.client.QueuePause(t.Context(), riverbox.Queue, nil) == nil }, patience, 10*time.Millisecond,
		"a queue is known when River has begun")
	require.Eventually(t, func() bool { return strings.Contains(log.String(), told) }, patience, 10*time.Millisecond)
	require.NoError(t, b.Send(t.Context(), events("ada", 1)))
	require.NoError(t, b.client.QueueResume(t.Context(), riverbox.Queue, nil))
	require.NoError(t, b.Flush(t.Context()))
	assert.Len(t, recorder.Records(), 1)
	assert.Equal(t, 1, strings.Count(log.String(), told), "once")
}

func TestStatsCountWhatIsLeftOfAMessage(t *testing.T) {
	t.Parallel()
	b := open(t, newDatabase(t))
	for i, metadata := range []string{`{}`, `{"kissmetrics":{"done":3}}`, `{"kissmetrics":{"done":9}}`, `{"kissmetrics":{"done":-1}}`,
		`{"kissmetrics":{"done":1e99}}`, `{"kissmetrics":{"done":"x"}}`, `{"kissmetrics":[]}`} {
		require.NoError(t, b.Send(t.Context(), events("p"+strconv.Itoa(i), 4)))
		b.must(`UPDATE river_job SET metadata = metadata || $1 WHERE id = (SELECT max(id) FROM river_job)`, metadata)
	}
	assert.EqualValues(t, 7*4-3, b.stats().Waiting)
	for _, args := range []string{`{}`, `[]`, `{"lines":"x"}`, `{"lines":[]}`} {
		b.must(`INSERT INTO river_job (kind, queue, args, max_attempts) VALUES ('kissmetrics_records', 'kissmetrics', $1, 100)`, args)
	}
	assert.EqualValues(t, 7*4-3+4, b.stats().Waiting, "what cannot be read counts as one")
	assert.EqualValues(t, 11, b.stats().WaitingMessages)
}
