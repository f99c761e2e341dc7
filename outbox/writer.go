package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	// maxBatch bounds how many operations are committed together.
	maxBatch = 1024
	// carriedOn is how long a commit that has begun is waited for after the
	// context of its caller has ended.
	carriedOn = 10 * time.Second
)

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

// submit has an operation committed, and waits for it. If ctx ends before the
// transaction has begun, nothing becomes of the operation. After that, submit
// waits for the end of the transaction.
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
	if w.withdraw(op) {
		return ctx.Err()
	}
	timer := time.NewTimer(carriedOn)
	defer timer.Stop()
	select {
	case err := <-op.done:
		return err
	case <-timer.C:
		return &StorageError{Kind: StorageFailed, Err: fmt.Errorf("the disk has not answered for %v after the end of the context: %w", carriedOn, ctx.Err())}
	}
}

// withdraw takes back an operation of which nothing has become yet.
func (w *writer) withdraw(op *operation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.pending, op)
	if i < 0 {
		return false
	}
	// A batch that was taken may be the front of the same array.
	w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
	return true
}

// take takes the operations to be committed next. If the first are lazy, it may be
// told to take no others.
func (w *writer) take(lazyOnly bool) []*operation {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.pending), maxBatch)
	if lazyOnly {
		if i := slices.IndexFunc(w.pending[:n], func(op *operation) bool { return !op.lazy }); i >= 0 {
			n = i
		}
	}
	batch := w.pending[:n:n]
	w.pending = w.pending[n:]
	return batch
}

// waiting reports whether there are operations, whether all of them are lazy, and
// whether the writer is closed.
func (w *writer) waiting() (some, lazy, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lazy = !slices.ContainsFunc(w.pending, func(op *operation) bool { return !op.lazy })
	return len(w.pending) > 0, lazy, w.closed
}

// run commits until the writer is closed and nothing is left, and looks after the
// file.
func (w *writer) run() {
	watch := time.NewTicker(w.o.config.watchEvery)
	defer watch.Stop()
	for {
		select {
		case <-watch.C:
			w.o.watch()
		default:
		}
		runtime.Gosched() // so that those that have just got an outcome may have more to commit
		some, lazy, closed := w.waiting()
		switch {
		case some:
			w.commit(lazy)
		case closed:
			return
		default:
			select {
			case <-w.wake:
			case <-watch.C:
				w.o.watch()
			}
		}
	}
}

// commit commits what waits, and tells everyone.
func (w *writer) commit(lazy bool) {
	batch, err := w.o.commit(func() []*operation { return w.take(lazy) }, lazy)
	if err != nil && len(batch) == 0 { // it could not even begin
		batch = w.take(false)
	}
	for _, op := range batch {
		if err != nil {
			op.err = err
		}
		op.done <- op.err
	}
}

func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	notify(w.wake)
}

// notify wakes the one that waits on a channel with room for one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// isRefusal reports whether an operation has refused to do anything, which is no
// failure of the others.
func isRefusal(err error) bool { return errors.Is(err, ErrNotParked) || errors.Is(err, errUnreadable) }

func (c *config) fits(records, bytes int64) bool {
	return records <= c.maxRecords && bytes <= c.maxBytes
}
