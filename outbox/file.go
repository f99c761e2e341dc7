package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// checkedBytes is how large a file may be for all of it to be checked when it is
// opened, which takes about a tenth of a second.
const checkedBytes = 32 << 20

// writing is how a connection that commits is set up: a commit is on the disk
// when it returns, and the log is kept short.
var writing = []string{"journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(4194304)"}

// A file is the open database: one connection that writes, others that read.
type file struct {
	db      *sql.DB
	writer  *conn
	waiting *sql.Stmt // selectWaiting, and
	upTo    *sql.Stmt // anyUpTo, for the connections that read
	build   string    // of the library, if the file is shared
	at      place     // what is at the paths of the file, its log and its shared memory
	lazy    bool      // commits do not wait for the disk
}

// openFile opens the database, which is there, and finds out whether it can be
// used.
func openFile(ctx context.Context, path string, c config) (_ *file, err error) {
	fresh := isEmpty(path) && isEmpty(path+"-wal")
	busy := fmt.Sprintf("busy_timeout(%d)", c.busy.Milliseconds())
	f := &file{db: sql.OpenDB(connector{dsn(path, existing(), pragma(busy))})}
	defer func() {
		if err != nil {
			err = errors.Join(fileError(err), f.close())
		}
	}()
	f.db.SetMaxIdleConns(4)
	writer, err := f.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	f.writer = &conn{writer, make(map[string]*sql.Stmt)}
	if !c.shared {
		err = f.owned(ctx, path)
	} else {
		err = writer.QueryRowContext(ctx, buildOf()).Scan(&f.build)
	}
	for _, setting := range writing {
		if err == nil {
			err = f.set(ctx, setting, c.busy)
		}
	}
	if err == nil && !c.shared {
		err = f.migrate(ctx)
	}
	if err == nil && !c.shared {
		f.makeRoom(ctx, fresh, c.room)
	}
	if err == nil {
		err = f.check(ctx, path, c.shared)
	}
	// That these can be prepared says that the tables have the columns they should.
	for _, query := range []string{insertWaiting, removeWaiting, insertParked} {
		if err == nil {
			_, err = f.writer.prepare(ctx, query)
		}
	}
	if err == nil {
		f.waiting, err = f.db.PrepareContext(ctx, selectWaiting) // the end of db is its own
	}
	if err == nil {
		f.upTo, err = f.db.PrepareContext(ctx, anyUpTo)
	}
	if err == nil {
		f.at, err = look(path, path+"-wal", path+"-shm")
	}
	return f, err
}

// set changes a setting. When SQLite changes the journal, it does not wait for others
// that make or close the file, although it is told to; so that is done here.
func (f *file) set(ctx context.Context, setting string, busy time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, busy)
	defer cancel()
	for {
		_, err := f.writer.Conn.ExecContext(ctx, "PRAGMA "+setting)
		if !isBusy(storageError(err)) || pause(waiting, pollInterval) != nil {
			return err
		}
	}
}

// migrate makes the tables that are missing, and marks a file that is new. Where that of
// what waits has gone, the messages can still be found in the pages that are free now,
// as long as nothing is written there.
func (f *file) migrate(ctx context.Context) error {
	var tables, waiting, mark int
	const known = `SELECT count(*), count(*) FILTER (WHERE name = 'kissmetrics_waiting'), (SELECT application_id FROM pragma_application_id)
		FROM sqlite_schema WHERE name IN ('kissmetrics_waiting', 'kissmetrics_parked', 'kissmetrics_totals')`
	err := f.writer.QueryRowContext(ctx, known).Scan(&tables, &waiting, &mark)
	switch {
	case err != nil || tables == 3:
		return err
	case waiting == 0 && (tables > 0 || mark == applicationID):
		return damaged("the table of what waits is missing")
	}
	return f.transact(ctx, func() error { return migrateOwn(ctx, f.writer) })
}

// isEmpty reports whether there is nothing in a file, not even something to be saved.
func isEmpty(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Size() == 0
}

// makeRoom makes a new file larger than what waits in it, mostly. Others may fill the
// disk later: then there is room for that in the file, and the log can begin anew. It
// does what it can.
func (f *file) makeRoom(ctx context.Context, fresh bool, bytes int) {
	if fresh && bytes > 0 {
		_, _ = f.writer.Conn.ExecContext(ctx, fmt.Sprintf("CREATE TABLE kissmetrics_room AS SELECT zeroblob(%d) AS room", bytes))
		// What is dropped before it is in the file never is.
		f.emptyLog(ctx)
	}
	// In a file that is not new, too: the process that made it may have ended here.
	_, _ = f.writer.Conn.ExecContext(ctx, "DROP TABLE IF EXISTS kissmetrics_room")
}

// wait has the next commits wait for the disk, or not.
func (f *file) wait(ctx context.Context, forDisk bool) error {
	if f.lazy == !forDisk {
		return nil
	}
	setting := "PRAGMA synchronous = NORMAL"
	if forDisk {
		setting = "PRAGMA synchronous = FULL"
	}
	_, err := f.writer.Conn.ExecContext(ctx, setting)
	if err == nil {
		f.lazy = !forDisk
	}
	return err
}

// transact runs something in a transaction of the writing connection.
func (f *file) transact(ctx context.Context, do func() error) error {
	if _, err := f.writer.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fileError(err)
	}
	err := do()
	if err == nil {
		_, err = f.writer.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// The error is that of what failed; a transaction that has already been
		// rolled back, by SQLite itself, cannot be again.
		_, _ = f.writer.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return fileError(err)
}

// checkpoint copies all of the log to the file, and begins the log anew. After a
// failure to sync, a kernel takes for written what was not, so that the next sync
// of the log would succeed without what was before in it:
// https://wiki.postgresql.org/wiki/Fsync_Errors
func (f *file) checkpoint(ctx context.Context) error {
	var busy, frames, copied int
	err := f.writer.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &copied)
	if err == nil && busy != 0 {
		err = &StorageError{Kind: StorageBusy, Err: errors.New("the log cannot be begun anew, after the disk failed to write it")}
	}
	return fileError(err)
}

// emptyLog copies the log to the file, as far as there is room for it and nobody
// reads. Then the next commit begins the log anew, and needs none on the disk.
func (f *file) emptyLog(ctx context.Context) {
	_, _ = f.writer.Conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
}

// check looks for damage: everywhere in a file that is small, and else where it
// is cheap, since the checksum of every message is checked when it is read.
func (f *file) check(ctx context.Context, path string, shared bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var t totals
	if err := t.read(ctx, f.writer); err != nil {
		return err
	}
	if info.Size() > checkedBytes {
		// SQLite finds the least and the greatest at once where it is asked for
		// one of them alone.
		for _, query := range []string{
			"SELECT min(id) FROM kissmetrics_waiting",
			"SELECT max(id) FROM kissmetrics_waiting",
			"SELECT min(id) FROM kissmetrics_parked",
			"SELECT max(id) FROM kissmetrics_parked",
			"SELECT max(seq) FROM sqlite_sequence",
		} {
			var id sql.NullInt64
			if err := f.writer.QueryRowContext(ctx, query).Scan(&id); err != nil {
				return err
			}
		}
		return nil
	}
	checks := []string{"PRAGMA quick_check(1)"}
	if shared {
		checks = []string{"PRAGMA quick_check(kissmetrics_waiting)", "PRAGMA quick_check(kissmetrics_parked)"}
	}
	for _, check := range checks {
		var result string
		if err := f.writer.QueryRowContext(ctx, check).Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return damaged("SQLite's check found: " + strings.ToValidUTF8(result[:min(len(result), 200)], ""))
		}
	}
	var counted int64
	const count = "SELECT count(*) - (SELECT messages FROM kissmetrics_totals) FROM kissmetrics_waiting"
	if err := f.writer.QueryRowContext(ctx, count).Scan(&counted); err != nil {
		return err
	}
	if counted != 0 {
		return damaged(fmt.Sprintf("there are %+d messages more than there should be", counted))
	}
	return nil
}

// forReadingOnly reports whether a damaged header is what keeps SQLite from
// writing, which it does not where the version for writing is one that it does
// not know: https://www.sqlite.org/fileformat2.html#file_format_version_numbers
//
// It is only asked when nothing can be written: to close a file lets go of the
// locks that SQLite has on it in this process.
func forReadingOnly(path string) bool {
	f, err := os.Open(path) //nolint:gosec // the caller's file
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	var header [20]byte
	_, err = io.ReadFull(f, header[:])
	return err == nil && header[18] > 2
}

func (f *file) close() error {
	if f.writer != nil {
		_ = f.writer.Close()
	}
	return storageError(f.db.Close())
}
