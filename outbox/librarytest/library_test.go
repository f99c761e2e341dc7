//go:build cgo

package librarytest

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3", with a library of its own
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver "sqlite", with the outbox's library

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop opens an application's file, in which there is a table of orders, until the
// test ends.
func shop(t *testing.T, driver, path string) *sql.DB {
	t.Helper()
	// Each driver reads its own settings, and passes over the other's.
	db, err := sql.Open(driver, "file:"+path+"?_journal_mode=WAL&_busy_timeout=10000&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), "CREATE TABLE IF NOT EXISTS orders (id TEXT)")
	require.NoError(t, err)
	return db
}

func record(name string) []kissmetrics.Record {
	return []kissmetrics.Record{kissmetrics.NewEvent("ann", name, time.Unix(1_700_000_000, 0))}
}

// count returns the one number that a query finds.
func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func open(t *testing.T, path string, options ...outbox.Option) *outbox.Outbox {
	t.Helper()
	box, err := outbox.Open(t.Context(), path, options...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, box.Close(context.WithoutCancel(t.Context()))) })
	return box
}

func TestMigrateRefusesAnotherLibrary(t *testing.T) {
	db := shop(t, "sqlite3", filepath.Join(t.TempDir(), "shop.db"))
	err := outbox.Migrate(t.Context(), db)
	require.ErrorIs(t, err, outbox.ErrLibrary)
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	require.ErrorContains(t, err, "modernc.org/sqlite")
	assert.Zero(t, count(t, db, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'kissmetrics%'"), "nothing was changed")
}

func TestSendTxRefusesAnotherLibrary(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop.db")
	db := shop(t, "sqlite", path)
	require.NoError(t, outbox.Migrate(t.Context(), db))
	require.NoError(t, db.Close())
	box := open(t, path, outbox.WithSharedFile())

	// Of another file: two libraries on one would destroy it.
	other := shop(t, "sqlite3", filepath.Join(dir, "other.db"))
	_, err := other.ExecContext(t.Context(), outbox.Schema)
	require.NoError(t, err)
	tx, err := other.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.ErrorIs(t, box.SendTx(t.Context(), tx, record("a")), outbox.ErrLibrary)
	_, err = tx.ExecContext(t.Context(), "INSERT INTO orders VALUES ('1')")
	require.NoError(t, err, "the application can go on")
	require.NoError(t, tx.Commit())
	assert.Zero(t, count(t, other, "SELECT count(*) FROM kissmetrics_waiting"))
	assert.Equal(t, 1, count(t, other, "SELECT count(*) FROM orders"))
}

// The other library has the file open, and its own locks on it: Open leaves them.
func TestOpenRefusesAFileThatAnotherLibraryHasOpen(t *testing.T) {
	for name, options := range map[string][]outbox.Option{"the application's": {outbox.WithSharedFile()}, "of nobody's": nil} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "shop.db")
			db := shop(t, "sqlite3", path)
			_, err := db.ExecContext(t.Context(), outbox.Schema)
			require.NoError(t, err)
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), "INSERT INTO orders VALUES ('1')")
			require.NoError(t, err)

			_, err = outbox.Open(t.Context(), path, options...)
			if options == nil {
				failed, ok := err.(*outbox.StorageError)
				require.True(t, ok, "%v", err)
				assert.Equal(t, outbox.StorageForeign, failed.Kind)
			} else {
				require.ErrorIs(t, err, outbox.ErrLibrary)
				require.ErrorContains(t, err, "mattn/go-sqlite3")
			}
			require.NoError(t, tx.Commit())
			assert.Equal(t, 1, count(t, db, "SELECT count(*) FROM orders"))
			assert.Equal(t, 1, count(t, db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"))
			assert.NoFileExists(t, path+"-lock")
		})
	}
}

// What the other library has closed is nobody's, and what it has open elsewhere is
// no matter.
func TestAnotherLibraryMayHaveOtherFiles(t *testing.T) {
	dir := t.TempDir()
	shop(t, "sqlite3", filepath.Join(dir, "other.db"))
	path := filepath.Join(dir, "outbox.db")
	box := open(t, path)
	var next kissmetricstest.Recorder
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { assert.NoError(t, box.Run(ctx, &next)) })
	defer running.Wait()
	defer cancel()
	require.NoError(t, box.Send(t.Context(), record("a")))
	require.NoError(t, box.Flush(t.Context()))
	assert.Len(t, next.Records(), 1)

	shared := filepath.Join(dir, "shop.db")
	require.NoError(t, shop(t, "sqlite3", shared).Close())
	db := shop(t, "sqlite", shared)
	require.NoError(t, outbox.Migrate(t.Context(), db))
	require.NoError(t, db.Close())
	box = open(t, shared, outbox.WithSharedFile())
	tx, err := shop(t, "sqlite", shared).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.SendTx(t.Context(), tx, record("b")))
	require.NoError(t, tx.Commit())
}
