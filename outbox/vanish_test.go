package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// statement runs SQL in a file that an outbox has open.
func statement(sqlText string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		db := application(t, path)
		_, err := db.ExecContext(t.Context(), sqlText)
		require.NoError(t, err)
		require.NoError(t, db.Close())
	}
}

// remove removes files by what their names end with.
func remove(endings ...string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		for _, ending := range endings {
			require.NoError(t, os.Remove(path+ending))
		}
	}
}

// watching has an outbox look after its file all the time.
var watching = outbox.WithWatchEvery(5 * time.Millisecond)

// Whatever vanishes under a relay that has nothing to do, and that is told
// nothing: it delivers what comes to the file after that.
func TestTheRelayGoesOnWhateverVanishes(t *testing.T) {
	t.Parallel()
	for name, vanish := range map[string]func(t *testing.T, path string){
		"the table of what waits":      statement("DROP TABLE kissmetrics_waiting"),
		"the table of what is parked":  statement("DROP TABLE kissmetrics_parked"),
		"the table of the counts":      statement("DROP TABLE kissmetrics_totals"),
		"the row of the counts":        statement("DELETE FROM kissmetrics_totals"),
		"a column":                     statement("ALTER TABLE kissmetrics_totals RENAME COLUMN records TO r"),
		"every table":                  statement("DROP TABLE kissmetrics_waiting; DROP TABLE kissmetrics_parked; DROP TABLE kissmetrics_totals"),
		"the file, its log and memory": remove("", "-wal", "-shm"),
		"the file":                     remove(""),
		"the log":                      remove("-wal"),
		"the shared memory":            remove("-shm"),
		"the lock":                     remove("-lock"),
		"all":                          remove("", "-wal", "-shm", "-lock"),
		"the directory": func(t *testing.T, path string) {
			require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+"-old"))
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
		},
		"the file, for a copy of it": func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			remove("", "-wal", "-shm")(t, path)
			require.NoError(t, os.WriteFile(path, data, 0o600))
		},
		"the lock, for another": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+"-new", nil, 0o600))
			require.NoError(t, os.Rename(path+"-new", path+"-lock"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "box", "outbox.db")
			box := open(t, path, watching)
			var recorder kissmetricstest.Recorder
			start(t, box, &recorder)
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("before")}))
			require.NoError(t, box.Flush(t.Context()))
			vanish(t, path)
			// As another process does: this outbox is not asked to store anything.
			require.Eventually(t, func() bool {
				other, err := outbox.Open(t.Context(), path, quick)
				if err == nil {
					err = errors.Join(other.Send(t.Context(), []kissmetrics.Record{record("after")}), other.Close(context.Background()))
				}
				return err == nil
			}, time.Minute, 50*time.Millisecond)
			require.Eventually(t, func() bool {
				return slices.Contains(names(recorder.Records()), "after")
			}, time.Minute, time.Millisecond)
		})
	}
}

// Another process would make the files anew, and know nothing of what this one
// does in those that it has open.
func TestFilesThatVanishAreMadeAgain(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"", "-wal", "-shm", "-lock"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			box := open(t, path, watching)
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
			remove(ending)(t, path)
			requireFile(t, path+ending)
		})
	}
}

// requireFile waits until a file is there, for its owner alone.
func requireFile(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return err == nil
	}, time.Minute, time.Millisecond)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
}

// The lock has the permissions of the file, and is made with it if both are gone.
func TestTheLockThatIsMadeAgainIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	open(t, path, watching)
	remove("", "-wal", "-shm", "-lock")(t, path)
	requireFile(t, path+"-lock")
}

// What waits in a table that is dropped is still in the file, in pages that are free,
// and these have no others, so that anything that is made in it would be written there.
func TestWhatWaitsInATableThatVanishesIsDelivered(t *testing.T) {
	t.Parallel()
	for name, vanish := range map[string]string{
		"what waits": "DROP TABLE kissmetrics_waiting",
		"the counts": "DROP TABLE kissmetrics_totals",
		"all tables": "DROP TABLE kissmetrics_totals; DROP TABLE kissmetrics_parked; DROP TABLE kissmetrics_waiting",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			box := open(t, path, outbox.WithRoom(0))
			var recorder kissmetricstest.Recorder
			var available atomic.Bool
			start(t, box, senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
				if !available.Load() {
					return errors.New("not yet")
				}
				return recorder.Send(ctx, records)
			}))
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("waits")}))
			statement(vanish)(t, path)
			available.Store(true)
			require.Eventually(t, func() bool { return len(recorder.Records()) > 0 }, time.Minute, time.Millisecond)
		})
		t.Run(name+" while it is closed", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			box := open(t, path, outbox.WithRoom(0))
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("waits")}))
			require.NoError(t, box.Close(t.Context()))
			statement(vanish)(t, path)
			var recorder kissmetricstest.Recorder
			start(t, open(t, path), &recorder)
			require.Eventually(t, func() bool { return len(recorder.Records()) > 0 }, time.Minute, time.Millisecond)
		})
	}
}

// A shared file is not put right: Run says what is wrong, and ends.
func TestTheRelayOfASharedFileEndsWhenTheTablesVanish(t *testing.T) {
	t.Parallel()
	for _, vanish := range []string{"DROP TABLE kissmetrics_waiting", "DROP TABLE kissmetrics_totals", "DELETE FROM kissmetrics_totals"} {
		t.Run(vanish, func(t *testing.T) {
			t.Parallel()
			db, box := shared(t)
			ended := make(chan error)
			go func() { ended <- box.Run(t.Context(), new(kissmetricstest.Recorder)) }()
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
			require.NoError(t, box.Flush(t.Context()))
			_, err := db.ExecContext(t.Context(), vanish)
			require.NoError(t, err)
			err = <-ended
			assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)
			err = box.Send(t.Context(), []kissmetrics.Record{record("b")})
			assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)
			_, err = box.Stats(t.Context())
			assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)

			// The application puts it right.
			require.NoError(t, outbox.Migrate(t.Context(), db))
			require.Eventually(t, func() bool {
				return box.Send(t.Context(), []kissmetrics.Record{record("c")}) == nil
			}, time.Minute, time.Millisecond)
			var recorder kissmetricstest.Recorder
			deliver(t, box, &recorder)
			assert.Contains(t, names(recorder.Records()), "c")
		})
	}
}

func TestTheRelayOfASharedFileGoesOnWithAnother(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	var file string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list").Scan(&file))
	var recorder kissmetricstest.Recorder
	start(t, box, &recorder)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	require.NoError(t, box.Flush(t.Context()))
	require.NoError(t, db.Close())

	restored := application(t, file+"-restored")
	require.NoError(t, outbox.Migrate(t.Context(), restored))
	require.NoError(t, restored.Close())
	remove("-wal", "-shm")(t, file)
	require.NoError(t, os.Rename(file+"-restored", file))
	require.Eventually(t, func() bool {
		return box.Send(t.Context(), []kissmetrics.Record{record("b")}) == nil
	}, time.Minute, time.Millisecond)
	require.NoError(t, box.Flush(t.Context()))
	assert.Subset(t, names(recorder.Records()), []string{"a", "b"})
}

// Two relays on a file whose lock was removed are one again.
func TestAfterTheLockVanishedOneRelays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	box, other := open(t, path, watching), open(t, path, watching)
	var one, two kissmetricstest.Recorder
	start(t, box, &one)
	start(t, other, &two)
	remove("-lock")(t, path)
	require.Eventually(t, func() bool {
		_, err := os.Stat(path + "-lock")
		return err == nil
	}, time.Minute, time.Millisecond)
	for _, name := range []string{"a", "b", "c"} {
		require.Eventually(t, func() bool {
			return box.Send(t.Context(), []kissmetrics.Record{record(name)}) == nil
		}, time.Minute, time.Millisecond)
	}
	require.Eventually(t, func() bool {
		return box.Flush(t.Context()) == nil
	}, time.Minute, time.Millisecond)
	delivered := append(names(one.Records()), names(two.Records())...)
	assert.Subset(t, delivered, []string{"a", "b", "c"})
}

// Stats tells a relay that makes no progress from one that has nothing to do.
func TestStalledTellsAStandstillFromIdleness(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	stalled := func() time.Duration {
		stats, err := box.Stats(t.Context())
		require.NoError(t, err)
		return stats.Stalled
	}
	var progress atomic.Bool
	var tried sync.Map
	start(t, box, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		tried.Store(records[0].Name, true)
		if records[0].Name == "delivered" && progress.Load() {
			return nil
		}
		return errors.New("unavailable")
	}))
	assert.Zero(t, stalled(), "nothing waits")
	for _, name := range []string{"delivered", "waits"} {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(name)}))
		require.Eventually(t, func() bool { _, ok := tried.Load(name); return ok }, time.Minute, time.Millisecond,
			"is read before it is changed, for a checksum says that it was")
	}
	years := func(db *sql.DB) { // ago, when the messages were accepted
		_, err := db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = CAST(substr(message, 1, 4) || x'0000000060000000' || substr(message, 13) AS BLOB)")
		require.NoError(t, err)
	}
	years(db)
	assert.Greater(t, stalled(), 365*24*time.Hour)
	_, err := db.ExecContext(t.Context(), "UPDATE kissmetrics_totals SET settled_at = 9999999999999")
	require.NoError(t, err)
	assert.Greater(t, stalled(), 365*24*time.Hour, "something was delivered by a clock that has been put back")
	progress.Store(true)
	require.Eventually(t, func() bool { return stalled() < time.Hour }, time.Minute, time.Millisecond,
		"something was delivered, though not the oldest")
	_, err = db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = CAST(substr(message, 1, 4) || x'00000000F0000000' || substr(message, 13) AS BLOB)")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stalled() > 0 }, time.Minute, time.Millisecond, "it waits by a clock that has been put back")
}

// What is under way has no room for more when the tables vanish: the relay ends all the
// same, though nothing gives that room back.
func TestTheRelayEndsWithNoRoomForMore(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	for range 13 { // 8,192 messages
		_, err := db.ExecContext(t.Context(), "INSERT INTO kissmetrics_waiting (message) SELECT message FROM kissmetrics_waiting")
		require.NoError(t, err)
	}
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- box.Run(t.Context(), senderFunc(func(context.Context, []kissmetrics.Record) error {
			select {
			case arrived <- struct{}{}:
			default:
			}
			<-release
			return nil
		}))
	}()
	<-arrived
	_, err := db.ExecContext(t.Context(), "DROP TABLE kissmetrics_totals")
	require.NoError(t, err)
	close(release)
	select {
	case err = <-ended:
		assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)
	case <-time.After(time.Minute):
		assert.Fail(t, "it has not ended")
	}
}
