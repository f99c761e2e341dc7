package outbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// To close another descriptor of the file lets go of SQLite's locks on it, so
// nothing else in the process may have one.
func TestAFileThatTheProcessHasOpenIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	closeBox(t, box)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, link))

	other, err := os.Open(path)
	require.NoError(t, err)
	for _, name := range []string{path, link} {
		_, err = outbox.Open(t.Context(), name)
		assert.True(t, isKind(err, outbox.StorageForeign), "%v", err)
		assert.ErrorContains(t, err, "something else in this process")
	}
	require.NoError(t, other.Close())

	db := application(t, path)
	require.NoError(t, db.PingContext(t.Context()))
	_, err = outbox.Open(t.Context(), path)
	assert.True(t, isKind(err, outbox.StorageForeign), "%v", err)
	require.NoError(t, db.Close())

	// Other outboxes are nothing else, open or closed.
	box, second := open(t, path), open(t, link)
	closeBox(t, box)
	third := open(t, path)
	for _, b := range []*outbox.Outbox{second, third} {
		require.NoError(t, b.Send(t.Context(), []kissmetrics.Record{record("b")}))
	}
	stats, err := third.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 3, stats.Waiting)
}
