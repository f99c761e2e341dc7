package outbox

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// A lock tells processes apart that have the same file open. It is itself an
// SQLite file, always empty, whose own locks are used: they work on every system
// and end with the process, however that ends.
//
//   - Every outbox that has the file open holds it shared.
//   - The one that relays holds it reserved, beside those.
//   - The one that repairs the file holds it exclusively.
type lock struct {
	path   string
	db     *sql.DB
	shared *sql.Conn
	at     place       // where it was when it was shared
	closed atomic.Bool // whoever waits for it waits in vain
}

// pollInterval is how often something is looked at that tells nobody when it
// changes: the lock, and what other processes store.
const pollInterval = 100 * time.Millisecond

var errLockClosed = errors.New("the lock was replaced")

// openLock returns the lock of a file, whose owner and permissions it has.
func openLock(path string) *lock {
	name := path + "-lock"
	// A journal on the disk would take room, even for nothing, where there may be none.
	parameters := [][2]string{pragma("busy_timeout(0)"), pragma("journal_mode(MEMORY)")}
	if _, err := os.Stat(path); err == nil {
		parameters = append(parameters, permissionsOf(path))
	}
	return &lock{path: name, db: sql.OpenDB(connector{dsn(name, parameters...)})}
}

// share waits until nobody repairs the file, and keeps it so.
func (l *lock) share(ctx context.Context) (err error) {
	if l.shared, err = l.begin(ctx, "BEGIN", true); err != nil {
		return err
	}
	l.at, err = look(l.path)
	return err
}

func (l *lock) unshare() {
	release(l.shared)
	l.shared = nil
}

// reserve waits until nobody else relays. What it returns ends the relaying.
func (l *lock) reserve(ctx context.Context) (func(), error) {
	conn, err := l.begin(ctx, "BEGIN IMMEDIATE", true)
	return func() { release(conn) }, err
}

// exclude is for the one that repairs the file. It fails if anybody has it open.
func (l *lock) exclude(ctx context.Context) (func(), error) {
	conn, err := l.begin(ctx, "BEGIN EXCLUSIVE", false)
	return func() { release(conn) }, err
}

// begin begins a transaction on a connection of its own, which holds the lock.
func (l *lock) begin(ctx context.Context, how string, wait bool) (*sql.Conn, error) {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	for {
		err = beginOn(ctx, conn, how)
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			err = ctx.Err()
		case wait && isBusy(err) && !l.closed.Load():
			if err = pause(ctx, pollInterval); err == nil {
				continue
			}
		}
		if l.closed.Load() {
			err = storageError(errLockClosed)
		}
		_ = conn.Close()
		return nil, err
	}
}

func beginOn(ctx context.Context, conn *sql.Conn, how string) error {
	if _, err := conn.ExecContext(ctx, how); err != nil {
		return storageError(err)
	}
	var tables int // the first look is what takes a shared lock
	err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
	if err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return storageError(err)
}

// release ends the transaction of a lock.
func release(conn *sql.Conn) {
	if conn == nil {
		return
	}
	_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
	_ = conn.Close()
}

func (l *lock) close() error {
	l.closed.Store(true)
	l.unshare()
	return storageError(l.db.Close())
}

// pause waits, and returns the error of a context that ends first.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
