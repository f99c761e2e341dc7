package outbox_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// What was delivered can be removed only as long as there is some room, so what is
// stored does not take the last of it, but what is free in the file.
func TestTheLastOfTheDiskIsForRemoving(t *testing.T) {
	t.Parallel()
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"), outbox.WithFree(8<<20))
	message := slices.Repeat([]kissmetrics.Record{record("a")}, 50)
	var err error
	stored := 0
	for ; err == nil && stored < 1000; stored++ {
		err = box.Send(t.Context(), message)
	}
	assert.True(t, isKind(err, outbox.StorageDiskFull), "%v", err)
	stored--
	assert.Greater(t, stored, 50)
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	assert.Equal(t, len(message)*stored, len(recorder.Records())) //nolint:testifylint // they would all be printed
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("after")}))
}

func TestATransactionDoesNotTakeTheLastOfTheDisk(t *testing.T) {
	t.Parallel()
	for free, full := range map[int64]bool{8 << 20: true, 9 << 20: false} {
		db, box := shared(t, outbox.WithFree(free))
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		err = box.SendTx(t.Context(), tx, []kissmetrics.Record{record("a")})
		require.NoError(t, tx.Commit())
		assert.Equal(t, full, isKind(err, outbox.StorageDiskFull), "%v", err)
		stats, err := box.Stats(t.Context())
		require.NoError(t, err)
		assert.Equal(t, full, stats.Waiting == 0)
	}
}
