package outbox_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// A logbook is what was logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

// count returns how many lines hold a text.
func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// SQLite cannot begin its log anew while a reader needs what was before it.
func TestALogThatAReaderLetsGrowIsToldOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	var log logbook
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
		require.Eventually(t, func() bool { return log.count(told) == episode }, time.Minute, time.Millisecond)
		fill(func() bool { return logBytes() > long+(2<<20) })
		require.NoError(t, tx.Rollback())
		fill(func() bool { return logBytes() <= long/2 })
		// The watch must have seen that, to tell of the next time.
		require.Eventually(t, func() bool { return box.Watched() }, time.Minute, time.Millisecond)
		assert.Equal(t, episode, log.count(told))
	}
}

// The lines of a log hold nothing of what is stored.
func TestTheLogHoldsNoIdentity(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	var log logbook
	box := open(t, path, outbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{{
		Kind: kissmetrics.KindEvent, Person: "s3cret", Name: "s3cret", Time: time.Unix(1_700_000_000, 0),
		Properties: []kissmetrics.Property{{Name: "a", Value: "s3cret"}},
	}}))
	statement("UPDATE kissmetrics_waiting SET message = CAST(replace(message, 's3cret', 'S3CRET') AS BLOB)")(t, path)
	start(t, box, senderFunc(func(context.Context, []kissmetrics.Record) error { panic("s3cret") }))
	require.Eventually(t, func() bool { return log.count("damaged") > 0 }, time.Minute, time.Millisecond)
	assert.Zero(t, log.count("s3cret"))
	assert.Zero(t, log.count("S3CRET"))
}
