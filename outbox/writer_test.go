package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Between the two tries of a commit on a full disk, another may have locked the file.
// Then everyone is told all the same, or they would wait for ever.
func TestASecondTryThatCannotBeginIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	box, err := Open(t.Context(), path, func(c *config) { c.busy = time.Millisecond })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, box.Close(context.Background())) })
	db := sql.OpenDB(connector{dsn(path)})
	defer func() { require.NoError(t, db.Close()) }()
	other, err := db.Conn(t.Context())
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = box.writer.submit(ctx, &operation{do: func(ctx context.Context, f *file, _ *totals) error {
		const last = "INSERT INTO kissmetrics_waiting VALUES (9223372036854775807, x'')"
		if _, err := f.writer.Conn.ExecContext(ctx, last); err != nil {
			return err
		}
		// There are no more numbers, which is told, and rolled back, as a full disk is.
		_, full := f.writer.ExecContext(ctx, insertWaiting, "")
		_, err := other.ExecContext(ctx, "BEGIN IMMEDIATE")
		return cmp.Or(err, full)
	}})
	require.NoError(t, ctx.Err(), "nobody told")
	assert.True(t, isBusy(err), "%v", err)
	_, err = other.ExecContext(ctx, "ROLLBACK")
	require.NoError(t, errors.Join(err, other.Close()))
	require.NoError(t, box.writer.submit(ctx, &operation{do: func(context.Context, *file, *totals) error { return nil }}))
}
