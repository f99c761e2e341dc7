package riverbox_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// A standby that follows synchronously is promoted under load, once the old primary
// cannot take writes any more: nothing that was acknowledged is lost.
//
// It was seen to fail, in one of four runs, with synchronous_standby_names = ”, for
// then a standby follows later, and may not have what the primary has acknowledged.
func TestAFailoverLosesNothing(t *testing.T) {
	t.Parallel()
	primary, server := newCluster(t), kissmetricstest.NewServer(t)
	standby, err := primary.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, standby.Remove()) })
	require.NoError(t, execute(t.Context(), primary, `ALTER SYSTEM SET synchronous_standby_names = '*'`))
	require.NoError(t, execute(t.Context(), primary, `SELECT pg_reload_conf()`))
	require.Eventually(t, func() bool {
		return execute(t.Context(), primary, `SELECT 1 / count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`) == nil
	}, patience, 10*time.Millisecond, "commits wait for the standby")

	url := primary.URL("river", standby)
	worker := start(t, "worker", "worker", url, server.URL)
	sender := start(t, "sender", "sender", url, server.URL)
	sender.awaitLines(100)
	require.NoError(t, primary.Kill(t.Context())) // fenced
	before := sender.printed()
	require.NoError(t, standby.Promote(t.Context()))
	sender.awaitLines(len(before) + 100)
	sender.finish()

	b := open(t, url)
	accepted := sender.printed()
	b.awaitWithResignations(len(accepted))
	worker.finish()
	assertArrived(t, server, accepted)
	t.Logf("%d messages accepted, %d of them before the failover", len(accepted), len(before))
}

// A program that is connected to a standby is told so, and what to do.
func TestAStandbyIsNoPlaceToSendTo(t *testing.T) {
	t.Parallel()
	primary := newCluster(t)
	standby, err := primary.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, standby.Remove()) })
	var log trial.Log
	b := open(t, standby.URL("river"), riverbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	const remedy = "target_session_attrs=read-write"
	err = b.Send(t.Context(), events("ada", 1))
	require.ErrorIs(t, err, riverbox.ErrNotStored)
	require.ErrorContains(t, err, remedy)
	ended, stop := b.run(&kissmetricstest.Recorder{})
	require.Eventually(t, func() bool { return strings.Contains(log.String(), remedy) }, patience, 10*time.Millisecond)
	stop()
	require.NoError(t, <-ended, "it may be promoted")
}
