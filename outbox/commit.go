package outbox

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// commit commits operations in one transaction, and returns which. They are taken
// when the transaction has begun: while others keep the file locked, a caller can
// take its operation back. The error is that of all of them.
func (o *Outbox) commit(take func() []*operation, lazy bool) (batch []*operation, err error) {
	ctx := context.Background()
	if o.broken.Load() {
		if err := o.repair(o.ctx); err != nil {
			return nil, err
		}
	}
	if o.unsynced {
		if err := o.file.checkpoint(ctx); err != nil {
			return nil, err
		}
		o.unsynced = false
	}
	batch, err = o.commitTo(ctx, o.file, take, lazy) // nobody else changes it
	again := errors.Is(err, errGone)
	if failed, ok := errors.AsType[*sqlite.Error](err); ok {
		switch failed.Code() {
		case sqlite3.SQLITE_IOERR_FSYNC:
			o.unsynced = true
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE: // which a quota is
			o.file.emptyLog(ctx)
			again = true // at once, before more waits than the file has room for
		}
	}
	if first := batch; again && len(first) > 0 {
		_, err = o.commitTo(ctx, o.file, func() []*operation { return first }, lazy)
	}
	if isKind(err, StorageReadOnly) && forReadingOnly(o.path) {
		err = damaged("its header says that it is for reading only")
	}
	// What is stored must be where it can be found. Other changes can wait for watch.
	if err == nil && !lazy && o.file.at.isAway() {
		err = errAway
	}
	if isDamaged(err) {
		o.breaks(err)
	}
	return batch, err
}

func (o *Outbox) commitTo(ctx context.Context, f *file, take func() []*operation, lazy bool) (batch []*operation, err error) {
	if err := f.wait(ctx, !lazy); err != nil {
		return nil, fileError(err)
	}
	stores := false
	err = f.transact(ctx, func() error {
		batch = take()
		var before, change totals
		if err := before.read(ctx, f.writer); err != nil {
			return err
		}
		full, err := o.isFull(ctx, f.writer, sizeOf(batch))
		if err != nil {
			return err
		}
		for _, op := range batch {
			if full && op.message != nil {
				op.err = errNoSpare
				continue
			}
			stores = stores || op.message != nil
			if err := o.apply(ctx, f, op, &before, &change); err != nil {
				return err
			}
		}
		return change.add(ctx, f.writer)
	})
	if err == nil && stores {
		notify(o.stored)
	}
	return batch, err
}

// apply does what an operation is for. The error is one of the storage; that of a
// refusal is the operation's own.
func (o *Outbox) apply(ctx context.Context, f *file, op *operation, before, change *totals) error {
	op.err = nil // of an attempt before
	if op.do != nil {
		if op.err = op.do(ctx, f, change); op.err != nil && !isRefusal(op.err) {
			return op.err
		}
		return nil
	}
	size := int64(len(op.message))
	if !o.config.fits(before.records+change.records+op.records, before.bytes+change.bytes+size) {
		op.err = ErrFull
		return nil
	}
	if _, err := f.writer.ExecContext(ctx, insertWaiting, op.message); err != nil {
		return err
	}
	change.messages++
	change.records += op.records
	change.bytes += size
	return nil
}
