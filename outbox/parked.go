package outbox

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// Parked is what is not delivered any more: it was refused for good, or it cannot
// be read.
type Parked struct {
	// ID is for Requeue and Delete.
	ID int64
	// Records are the records of one message that were refused. Where there are
	// none, what is stored cannot be read.
	Records []kissmetrics.Record
	// Reason says why. It holds neither identities nor property values.
	Reason string
	// At is when it was parked, in whole seconds.
	At time.Time
}

// Parked lists what is parked, the oldest first. It reads little at a time, so
// that what is parked meanwhile may be listed or not, and the loop may requeue
// and delete. An error, that of ctx or a [*StorageError], ends it.
//
//	for parked, err := range o.Parked(ctx) {
//		…
//	}
func (o *Outbox) Parked(ctx context.Context) iter.Seq2[Parked, error] {
	ctx = nilness.Context(ctx)
	return func(yield func(Parked, error) bool) {
		last := int64(-1 << 63)
		for {
			page, err := o.parkedAfter(ctx, last)
			for _, p := range page {
				last = p.ID
				if !yield(p, nil) {
					return
				}
			}
			if err != nil {
				yield(Parked{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

func (o *Outbox) parkedAfter(ctx context.Context, last int64) (page []Parked, err error) {
	err = o.read(ctx, func(f *file) error {
		rows, err := f.db.QueryContext(ctx, "SELECT id, message, parked_at, reason FROM kissmetrics_parked WHERE id > ? ORDER BY id LIMIT 64", last)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var p Parked
			var message []byte
			var at int64
			if err := rows.Scan(&p.ID, &message, &at, &p.Reason); err != nil {
				return err
			}
			p.At = time.Unix(at, 0).UTC()
			p.Records, _, _ = decode(message) // none where it cannot be read
			page = append(page, p)
		}
		return rows.Err()
	})
	return page, err
}

// Requeue makes parked records wait for delivery again, all that are named or
// none. They do not count for [ErrFull]. The error is [ErrNotParked], that of
// ctx, [kissmetrics.ErrClosed], or a [*StorageError], with the kind
// StorageDamaged where one cannot be read.
func (o *Outbox) Requeue(ctx context.Context, ids ...int64) error {
	err := o.unpark(ctx, ids, func(ctx context.Context, f *file, t *totals, message []byte) error {
		s, _, ok := parse(message, false)
		if !ok {
			return errUnreadable
		}
		t.messages++
		t.records += int64(s.records)
		t.bytes += int64(len(message))
		_, err := f.writer.ExecContext(ctx, insertWaiting, marked(message, markWaiting))
		return err
	})
	if errors.Is(err, errUnreadable) {
		return damaged("what is parked cannot be read")
	}
	if err == nil {
		notify(o.stored)
	}
	return err
}

// Delete forgets parked records, all that are named or none. The error is
// [ErrNotParked], that of ctx, [kissmetrics.ErrClosed], or a [*StorageError].
func (o *Outbox) Delete(ctx context.Context, ids ...int64) error {
	return o.unpark(ctx, ids, func(context.Context, *file, *totals, []byte) error { return nil })
}

// unpark removes parked rows and does something with each.
func (o *Outbox) unpark(ctx context.Context, ids []int64, with func(ctx context.Context, f *file, t *totals, message []byte) error) error {
	ctx = nilness.Context(ctx)
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case o.ctx.Err() != nil:
		return kissmetrics.ErrClosed
	case len(ids) == 0:
		return nil
	}
	return o.writer.submit(ctx, &operation{do: func(ctx context.Context, f *file, t *totals) error {
		change := *t
		err := f.savepoint(ctx, func() error {
			for _, id := range ids {
				var message []byte
				err := f.writer.QueryRowContext(ctx, "DELETE FROM kissmetrics_parked WHERE id = ? RETURNING message", id).Scan(&message)
				if errors.Is(err, sql.ErrNoRows) {
					return ErrNotParked
				}
				if err == nil {
					err = with(ctx, f, &change, message)
				}
				if err != nil {
					return err
				}
				change.parked--
			}
			return nil
		})
		if err == nil {
			*t = change
		}
		return err
	}})
}

// savepoint runs something that is undone, alone, if it fails.
func (f *file) savepoint(ctx context.Context, do func() error) error {
	if _, err := f.writer.ExecContext(ctx, "SAVEPOINT alone"); err != nil {
		return err
	}
	err := do()
	if err != nil {
		if _, undo := f.writer.ExecContext(ctx, "ROLLBACK TO alone"); undo != nil {
			return storageError(undo)
		}
	}
	_, released := f.writer.ExecContext(ctx, "RELEASE alone")
	return errors.Join(err, storageError(released))
}
