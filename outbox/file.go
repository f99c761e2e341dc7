package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// checkedBytes is how large a file may be for all of it to be checked when it is
// opened, which takes about a tenth of a second.
const checkedBytes = 32 << 20

// writing is how a connection that commits is set up: a commit is on the disk
// when it returns, and the log is kept short.
var writing = []string{"journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(4194304)"}

// connector opens connections without a look at what other drivers there are.
type connector struct{ name string }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.name) }
func (c connector) Driver() driver.Driver                        { return &sqlite.Driver{} }

// dsn returns the name of a file for the driver.
func dsn(path string, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // such as C:/
		path = "/" + path
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return name.String()
}

// resolve returns the path of the file itself, where the one given leads to it by
// symbolic links: SQLite follows those, and what is beside the file must be the
// same for everybody. The file need not be there.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	for range 40 { // as many links as Linux follows
		var dir, target string
		if err == nil {
			dir, err = filepath.EvalSymlinks(filepath.Dir(path))
		}
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		if target, err = os.Readlink(path); err != nil {
			return path, nil //nolint:nilerr // it is no link, or not there
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", &os.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}

// explain adds why a file cannot be opened, which SQLite does not say.
func explain(path string, err error) error {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok || failed.Code()&0xff != sqlite3.SQLITE_CANTOPEN {
		return err
	}
	why := &StorageError{Kind: StorageFailed}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		why.Err = fmt.Errorf("%w: %s is a directory", failed, path)
		return why
	}
	// To open the file itself would, when it is closed again, let go of the locks
	// that SQLite may have on it in this process.
	probe, probeErr := os.CreateTemp(filepath.Dir(path), ".outbox-")
	if probeErr == nil {
		_ = probe.Close()
		_ = os.Remove(probe.Name())
		return err
	}
	if errors.Is(probeErr, fs.ErrPermission) || errors.Is(probeErr, syscall.EROFS) {
		why.Kind = StorageReadOnly
	}
	why.Err = fmt.Errorf("%w: %w", failed, probeErr)
	return why
}

// A file is the open database: one connection that writes, others that read.
type file struct {
	db     *sql.DB
	writer *conn
	at     map[string]os.FileInfo // what is at the paths of the file and its log
}

// openFile opens the database and finds out whether it can be used.
func openFile(ctx context.Context, path string, c config) (_ *file, err error) {
	shared, busy := c.shared, fmt.Sprintf("busy_timeout(%d)", c.busy.Milliseconds())
	f := &file{db: sql.OpenDB(connector{dsn(path, append([]string{busy}, writing...)...)})}
	defer func() {
		if err != nil {
			failed, ok := errors.AsType[*sqlite.Error](err)
			if ok && failed.Code()&0xff == sqlite3.SQLITE_ERROR && !shared { // what is wrong is not our SQL
				err = damaged("the tables are not what they should be")
			}
			err = errors.Join(storageError(err), f.close())
		}
	}()
	f.db.SetMaxIdleConns(4)
	writer, err := f.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	f.writer = &conn{writer, make(map[string]*sql.Stmt)}
	if !shared {
		if err := f.migrate(ctx); err != nil {
			return nil, err
		}
	}
	if err := f.check(ctx, path, shared); err != nil {
		return nil, err
	}
	// That these can be prepared says that the tables have the columns they should.
	for _, query := range []string{insertWaiting, removeWaiting, insertParked} {
		if _, err = f.writer.prepare(ctx, query); err != nil {
			return nil, err
		}
	}
	f.at = make(map[string]os.FileInfo, 2)
	for _, part := range []string{path, path + "-wal"} {
		if f.at[part], err = os.Stat(part); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// isAway reports whether the file, or its log, is not what is at its path any
// more. SQLite goes on with what it has open, which is nowhere.
func (f *file) isAway() bool {
	for part, known := range f.at {
		if now, err := os.Stat(part); err != nil || !os.SameFile(known, now) {
			return true
		}
	}
	return false
}

// migrate makes the tables where they are missing.
func (f *file) migrate(ctx context.Context) error {
	var tables int
	const known = "SELECT count(*) FROM sqlite_schema WHERE name IN ('kissmetrics_waiting', 'kissmetrics_parked', 'kissmetrics_totals')"
	if err := f.writer.QueryRowContext(ctx, known).Scan(&tables); err != nil || tables == 3 {
		return err
	}
	return f.transact(ctx, func() error { return migrate(ctx, f.writer) })
}

// transact runs something in a transaction of the writing connection.
func (f *file) transact(ctx context.Context, do func() error) error {
	if _, err := f.writer.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return storageError(err)
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
	return storageError(err)
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
	return storageError(err)
}

// check looks for damage: everywhere in a file that is small, and else where it
// is cheap, since the checksum of every message is checked when it is read.
func (f *file) check(ctx context.Context, path string, shared bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var t totals
	if err := t.read(ctx, f.writer); errors.Is(err, sql.ErrNoRows) {
		return damaged("the totals are missing")
	} else if err != nil {
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

// totals is the row of kissmetrics_totals, or what changes of it.
type totals struct{ messages, records, bytes, delivered, parked int64 }

// queryer is a connection or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (t *totals) read(ctx context.Context, from queryer) error {
	return from.QueryRowContext(ctx, "SELECT messages, records, bytes, delivered, parked FROM kissmetrics_totals WHERE id = 1").
		Scan(&t.messages, &t.records, &t.bytes, &t.delivered, &t.parked)
}

// add changes the row by t.
func (t *totals) add(ctx context.Context, to execer) error {
	if *t == (totals{}) {
		return nil
	}
	_, err := to.ExecContext(ctx, `UPDATE kissmetrics_totals SET messages = messages + ?, records = records + ?,
		bytes = bytes + ?, delivered = delivered + ?, parked = parked + ? WHERE id = 1`,
		t.messages, t.records, t.bytes, t.delivered, t.parked)
	return err
}

func isBusy(err error) bool {
	failed, ok := errors.AsType[*StorageError](err)
	return ok && failed.Kind == StorageBusy
}
