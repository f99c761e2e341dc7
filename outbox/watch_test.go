package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// SQLite cannot begin its log anew while a reader needs what was before it.
func TestALogThatAReaderLetsGrowIsToldOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	var log trial.Log
	// The log is cut to 4 MiB when it is begun anew.
	const long = 9 << 20
	box := open(t, path, outbox.WithLongLog(long), outbox.WithWatchEvery(time.Millisecond), outbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	logBytes := func() int64 {
		stats, err := box.Stats(t.Context())
		require.NoError(t, err)
		return stats.LogBytes
	}
	large := record("large")
	for i := range 100 {
		large.Properties = append(large.Properties, kissmetrics.Property{Name: fmt.Sprintf("Z%03d", i), Value: strings.Repeat("z", 500)})
	}
	fill := func(until func() bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{large}))
			return until()
		}, time.Minute, time.Microsecond)
	}
	const told = "log grows"
	for episode := 1; episode <= 2; episode++ {
		reader := application(t, path)
		tx, err := reader.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		var n int
		require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT count(*) FROM kissmetrics_waiting").Scan(&n))

		fill(func() bool { return logBytes() > long })
		require.Eventually(t, func() bool { return strings.Count(log.String(), told) == episode }, time.Minute, time.Millisecond)
		fill(func() bool { return logBytes() > long+(2<<20) })
		require.NoError(t, tx.Rollback())
		fill(func() bool { return logBytes() <= long/2 })
		// The watch must have seen that, to tell of the next time.
		require.Eventually(t, func() bool { return box.Watched() }, time.Minute, time.Millisecond)
		assert.Equal(t, episode, strings.Count(log.String(), told))
	}
}

// The lines of a log hold nothing of what is stored.
func TestTheLogHoldsNoIdentity(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	var log trial.Log
	box := open(t, path, outbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{{
		Kind: kissmetrics.KindEvent, Person: "s3cret", Name: "s3cret", Time: time.Unix(1_700_000_000, 0),
		Properties: []kissmetrics.Property{{Name: "a", Value: "s3cret"}},
	}}))
	statement("UPDATE kissmetrics_waiting SET message = CAST(replace(message, 's3cret', 'S3CRET') AS BLOB)")(t, path)
	start(t, box, senderFunc(func(context.Context, []kissmetrics.Record) error { panic("s3cret") }))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "damaged") }, time.Minute, time.Millisecond)
	assert.NotContains(t, log.String(), "s3cret")
	assert.NotContains(t, log.String(), "S3CRET")
}
