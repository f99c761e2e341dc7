package outbox

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kissmetrics-go/kissmetrics"
)

// maxBatch bounds how many operations are committed together.
const maxBatch = 1024

// An operation is something to be committed: a message, or anything else.
type operation struct {
	message []byte // as it is stored
	records int64

	do func(ctx context.Context, f *file, t *totals) error
	// lazy says that nothing is lost when the machine fails before the disk has
	// it, and hence that nobody need wait for the disk.
	lazy bool

	done chan error // has room for the only one
	err  error      // what it is refused with, if it is
}

// The writer commits operations, all those that wait in one transaction: while
// the disk is busy with one, the next gathers.
type writer struct {
	o    *Outbox
	wake chan struct{}

	mu      sync.Mutex
	pending []*operation
	closed  bool
}

// submit has an operation committed, and waits for it, or for ctx.
func (w *writer) submit(ctx context.Context, op *operation) error {
	op.done = make(chan error, 1)
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return kissmetrics.ErrClosed
	}
	w.pending = append(w.pending, op)
	w.mu.Unlock()
	notify(w.wake)
	select {
	case err := <-op.done:
		return err
	case <-ctx.Done():
	}
	w.mu.Lock()
	for i := range w.pending {
		if w.pending[i] == op { // nothing has become of it
			w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
			break
		}
	}
	w.mu.Unlock()
	select {
	case err := <-op.done:
		return err
	default:
		return ctx.Err()
	}
}

// run commits until the writer is closed and nothing is left.
func (w *writer) run() {
	for {
		runtime.Gosched() // so that who has just got an outcome may have more to commit
		w.mu.Lock()
		batch := w.pending[:min(len(w.pending), maxBatch)]
		w.pending = w.pending[len(batch):]
		closed := w.closed
		w.mu.Unlock()
		if len(batch) == 0 {
			if closed {
				return
			}
			<-w.wake
			continue
		}
		err := w.o.commit(batch)
		for _, op := range batch {
			if err != nil {
				op.err = err
			}
			op.done <- op.err
		}
	}
}

func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	notify(w.wake)
}

// notify wakes who waits on a channel with room for one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// commit commits operations in one transaction. The error is that of all of
// them.
func (o *Outbox) commit(batch []*operation) error {
	ctx := context.Background()
	if o.broken.Load() {
		if err := o.repair(ctx); err != nil {
			return err
		}
	}
	if o.unsynced {
		if err := o.file.checkpoint(ctx); err != nil {
			return err
		}
		o.unsynced = false
	}
	err := o.commitTo(ctx, o.file, batch) // nobody else changes it
	if failed, ok := errors.AsType[*sqlite.Error](err); ok && failed.Code() == sqlite3.SQLITE_IOERR_FSYNC {
		o.unsynced = true
	}
	if failed, ok := errors.AsType[*StorageError](err); ok && failed.Kind == StorageReadOnly && forReadingOnly(o.path) {
		err = damaged("its header says that it is for reading only")
	}
	if err == nil && o.file.isAway() {
		err = damaged("the file was deleted, or replaced by another")
	}
	if isDamaged(err) {
		o.breaks()
	}
	return err
}

func (o *Outbox) commitTo(ctx context.Context, f *file, batch []*operation) error {
	lazy, stores := true, false
	for _, op := range batch {
		lazy, stores = lazy && op.lazy, stores || op.message != nil
	}
	if lazy {
		if _, err := f.writer.Conn.ExecContext(ctx, "PRAGMA synchronous = NORMAL"); err != nil {
			return storageError(err)
		}
		defer func() { _, _ = f.writer.Conn.ExecContext(ctx, "PRAGMA synchronous = FULL") }()
	}
	err := f.transact(ctx, func() error {
		var before, change totals
		if err := before.read(ctx, f.writer); err != nil {
			return err
		}
		for _, op := range batch {
			if op.do != nil {
				if op.err = op.do(ctx, f, &change); op.err != nil && !isRefusal(op.err) {
					return op.err
				}
				continue
			}
			size := int64(len(op.message))
			if !o.config.fits(before.records+change.records+op.records, before.bytes+change.bytes+size) {
				op.err = ErrFull
				continue
			}
			if _, err := f.writer.ExecContext(ctx, insertWaiting, op.message); err != nil {
				return err
			}
			change.messages++
			change.records += op.records
			change.bytes += size
		}
		return change.add(ctx, f.writer)
	})
	if err == nil && stores {
		notify(o.stored)
	}
	return err
}

// isRefusal reports whether an operation has refused to do anything, which is no
// failure of the others.
func isRefusal(err error) bool { return errors.Is(err, ErrNotParked) || errors.Is(err, errUnreadable) }

func (c *config) fits(records, bytes int64) bool {
	return records <= c.maxRecords && bytes <= c.maxBytes
}
