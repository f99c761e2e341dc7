package outbox

import (
	"context"
	"database/sql"
	"time"
)

// A lock tells processes apart that have the same file open. It is itself an
// SQLite file, always empty, whose own locks are used: they work on every system
// and end with the process, however that ends.
//
//   - Whoever has the outbox open holds it shared.
//   - The one that relays holds it reserved, beside those.
//   - The one that repairs the file holds it exclusively.
type lock struct {
	db     *sql.DB
	shared *sql.Conn
}

// pollInterval is how often something is looked at that tells nobody when it
// changes: the lock, and what other processes store.
const pollInterval = 100 * time.Millisecond

func openLock(path string) *lock {
	return &lock{db: sql.OpenDB(connector{dsn(path+"-lock", "busy_timeout(0)")})}
}

// share waits until nobody repairs the file, and keeps it so.
func (l *lock) share(ctx context.Context) error {
	conn, err := l.begin(ctx, "BEGIN", true)
	l.shared = conn
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

// exclude is for who repairs the file. It fails if anybody has it open.
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
		if _, err = conn.ExecContext(ctx, how); err == nil {
			var tables int // the first look is what takes a shared lock
			err = conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
			if err == nil {
				return conn, nil
			}
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
		if err = storageError(err); ctx.Err() != nil || !wait || !isBusy(err) {
			_ = conn.Close()
			return nil, err
		}
		if err := pause(ctx, pollInterval); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
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
