package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// An Outbox is a [kissmetrics.Sender] that stores records in a file, from which
// [Outbox.Run] delivers them. It is safe for concurrent use. It has a goroutine,
// which ends with Close.
type Outbox struct {
	path   string
	mount  uint64 // the one that it is on; see make
	config config
	lock   *lock
	writer *writer
	stored chan struct{} // there may be something to deliver
	broken atomic.Bool   // the file is damaged, and not repaired yet
	turn   atomic.Int64  // how often the file was exchanged

	fileMu    sync.RWMutex // held to exchange the file
	file      *file        // nil while it is broken
	force     bool         // it is to be repaired whatever it looks like
	tried     time.Time    // when it was last tried to repair it,
	failure   error        // and why that failed
	logIsLong atomic.Bool  // which was logged
	unsynced  bool         // the disk could not write the log, and may have lost what it had of it

	settled settled // tells Flush that something has got its outcome

	ctx    context.Context //nolint:containedctx // ends with Close, and with it every Run
	stop   context.CancelFunc
	ended  chan struct{} // closed when all has ended, after
	err    error         // was set
	mu     sync.Mutex
	closed bool
	runs   sync.WaitGroup
}

// Open opens the outbox in a file. If there is none, it makes one, for its owner
// alone (0600), and the directories that are missing (0700). Beside the file, at
// the same path with "-wal", "-shm" and "-lock" after it, are others that belong to
// it, with the same permissions.
//
// Several outboxes, in one or in several processes of one machine, may have the
// same file open. Open waits for one that repairs it, until ctx ends. The file must
// not be on a network file system.
//
// The error wraps [kissmetrics.ErrInvalidOption], a [*StorageError], or that of
// ctx. A damaged file is not an error, unless it is shared; see the package
// documentation. A file that is not an outbox's is one ([StorageForeign]). So is, as
// far as the system tells, which Linux does: a file that something else in this
// process has open (see [ErrLibrary]), one that has several names (hard links), and
// one that is mounted without its directory, as containers can do. By each name and
// in each container there would be another log, and records would be lost.
func Open(ctx context.Context, path string, options ...Option) (*Outbox, error) {
	ctx = nilness.Context(ctx)
	c, err := configure(options)
	if path == "" || strings.ContainsRune(path, 0) { // where SQLite would end it
		err = errors.Join(err, invalid("the path is empty, or holds a zero byte"))
	}
	if err != nil {
		return nil, err
	}
	if !c.shared {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, storageError(err)
		}
	}
	if path, err = resolve(path); err != nil {
		return nil, storageError(err)
	}
	if err := checkProcess(ctx, path, c.shared); err != nil {
		return nil, err
	}
	o := &Outbox{path: path, mount: mountOf(filepath.Dir(path)), config: c, stored: make(chan struct{}, 1), ended: make(chan struct{})}
	o.settled.c = make(chan struct{})
	if err := o.openFirst(ctx); err != nil {
		return nil, err
	}
	o.ctx, o.stop = context.WithCancel(context.Background())
	o.writer = &writer{o: o, wake: make(chan struct{}, 1)}
	go o.serve()
	return o, nil
}

// openFirst opens the file and its lock, and leaves no lock beside a file of
// somebody else's.
func (o *Outbox) openFirst(ctx context.Context) (err error) {
	if err := o.make(); err != nil {
		return err
	}
	_, known := os.Stat(o.path + "-lock")
	o.lock = openLock(o.path)
	if o.file, err = o.open(ctx, false); err == nil {
		return nil
	}
	err = errors.Join(err, o.lock.close())
	if known != nil && (isKind(err, StorageForeign) || o.config.shared) {
		_ = os.Remove(o.path + "-lock")
	}
	return err
}

// serve commits until the outbox is closed, and then lets go of everything.
func (o *Outbox) serve() {
	o.writer.run()
	o.fileMu.Lock()
	defer o.fileMu.Unlock()
	if o.file != nil {
		o.err = o.file.close()
		o.file = nil
	}
	o.err = errors.Join(o.err, o.lock.close())
	close(o.ended)
}

// Send stores the records and returns when the disk has them, all or none. If it
// returns nil, Run delivers them, at least once, whatever happens.
//
// A record without a time, which only an alias can be, gets the time of its
// acceptance.
//
// The error is that of the records' validation, [ErrFull],
// [kissmetrics.ErrClosed], a [*StorageError], or that of ctx. The last means that
// ctx ended before anything was stored, and that nothing will be. Once a record
// has begun to be stored, the end of ctx does not stop that: Send returns what
// became of it, a moment later, or a StorageError if the disk does not answer for
// 10 seconds.
func (o *Outbox) Send(ctx context.Context, records []kissmetrics.Record) error {
	ctx = nilness.Context(ctx)
	message, err := encode(records, time.Now())
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case o.ctx.Err() != nil: // what is under way may still be settled
		return kissmetrics.ErrClosed
	case len(records) == 0:
		return nil
	case len(message) > o.config.maxMessage: // it would fail all that are committed with it
		return ErrFull
	}
	return o.writer.submit(ctx, &operation{message: message, records: int64(len(records))})
}

// SendTx stores the records in a transaction of the application's, all or none:
// they are delivered if, and when, that commits. The outbox must have been opened
// with [WithSharedFile], and the transaction must be on the same file, through the
// driver modernc.org/sqlite; see [ErrLibrary].
//
// They are as durable as the transaction, and that depends on the synchronous
// setting of its connection. In the journal mode WAL, which Open sets for the file,
// FULL survives a failure of the machine, and NORMAL only one of the process.
//
// The error is that of the records' validation, [ErrFull], that of ctx, a
// [*StorageError], or wraps [kissmetrics.ErrInvalidOption]. Nothing of the message
// is then in the transaction, with which the application can go on.
func (o *Outbox) SendTx(ctx context.Context, tx *sql.Tx, records []kissmetrics.Record) error {
	ctx = nilness.Context(ctx)
	message, err := encode(records, time.Now())
	switch {
	case err != nil:
		return err
	case !o.config.shared:
		return errNotShared
	case tx == nil:
		return errNilTx
	case ctx.Err() != nil:
		return ctx.Err()
	case len(records) == 0:
		return nil
	case len(message) > o.config.maxMessage:
		return ErrFull
	}
	if err := o.checkTx(ctx, tx); err != nil {
		return err
	}
	var now totals
	// The change comes first, so that the transaction has the file to itself.
	change := totals{messages: 1, records: int64(len(records)), bytes: int64(len(message))}
	if err := change.add(ctx, tx); err != nil {
		return fileError(err)
	}
	full, err := o.isFull(ctx, tx, change.bytes)
	if full {
		err = errNoSpare
	}
	if err == nil {
		err = now.read(ctx, tx)
	}
	if err == nil && !o.config.fits(now.records, now.bytes) {
		err = ErrFull
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, insertWaiting, message)
	}
	if err != nil {
		change = totals{messages: -change.messages, records: -change.records, bytes: -change.bytes}
		return fileError(errors.Join(err, change.add(ctx, tx)))
	}
	return nil
}

// checkTx refuses a transaction of another library.
func (o *Outbox) checkTx(ctx context.Context, tx *sql.Tx) error {
	o.fileMu.RLock()
	file := o.file
	o.fileMu.RUnlock()
	switch {
	case o.broken.Load():
		return errNotRepaired
	case file == nil:
		return kissmetrics.ErrClosed
	}
	return checkLibrary(ctx, tx, file.build)
}

// read runs a query on the file as it is now.
func (o *Outbox) read(ctx context.Context, query func(f *file) error) error {
	o.fileMu.RLock()
	defer o.fileMu.RUnlock()
	switch {
	case o.broken.Load():
		return errNotRepaired
	case o.file == nil:
		return kissmetrics.ErrClosed
	}
	err := query(o.file)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if err = fileError(err); isDamaged(err) {
		o.breaks(err)
	}
	return explain(o.path, err)
}

// Flush waits until all that was stored before it has got its outcome: delivered,
// or parked. That takes a Run, here or in another process. The error is that of
// ctx, [kissmetrics.ErrClosed], or a [*StorageError].
func (o *Outbox) Flush(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	var last sql.NullInt64
	err := o.read(ctx, func(f *file) error {
		return f.db.QueryRowContext(ctx, "SELECT max(id) FROM kissmetrics_waiting").Scan(&last)
	})
	if err != nil || !last.Valid {
		return err
	}
	for {
		changed := o.settled.wait()
		var waits bool
		err := o.read(ctx, func(f *file) error { return f.upTo.QueryRowContext(ctx, last.Int64).Scan(&waits) })
		if err != nil || !waits {
			return err
		}
		timer := time.NewTimer(pollInterval)
		select {
		case <-changed:
		case <-timer.C: // another process may deliver
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// settled is a condition that a select can wait for.
type settled struct {
	mu sync.Mutex
	c  chan struct{}
}

func (s *settled) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c
}

func (s *settled) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.c)
	s.c = make(chan struct{})
}

// Close makes every later Send return [kissmetrics.ErrClosed], ends every Run as
// the end of its context would, and lets go of the file. What has not been
// delivered stays in it, so there is nothing to wait for but what is under way.
//
// The error is a [*StorageError], or that of ctx where it ends first; then
// closing goes on. Close may be called several times.
func (o *Outbox) Close(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	o.mu.Lock()
	first := !o.closed
	o.closed = true
	o.mu.Unlock()
	if first {
		o.stop()
		go func() {
			o.runs.Wait()
			o.writer.close()
		}()
	}
	select {
	case <-o.ended:
		return o.err
	case <-ctx.Done():
		return fmt.Errorf("outbox: close: %w", ctx.Err())
	}
}
