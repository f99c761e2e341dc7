package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// settle removes what has landed, or parks it, until ctx ends and nothing is
// left.
func (r *relay) settle(ctx context.Context) error {
	for {
		r.mu.Lock()
		landed := r.landed[:min(len(r.landed), maxBatch)]
		r.landed = r.landed[len(landed):]
		r.mu.Unlock()
		if len(landed) == 0 {
			select {
			case <-r.changed:
				r.gather(ctx)
			case <-ctx.Done():
				r.mu.Lock()
				more := len(r.landed)
				r.mu.Unlock()
				if more == 0 {
					return nil
				}
			}
			continue
		}
		slices.SortFunc(landed, func(a, b *flight) int { return cmp.Compare(a.id, b.id) })
		alone := false
		op := r.operation(true, func(ctx context.Context, file *file, t *totals) error {
			same, err := r.same(ctx, file, landed)
			if err == nil {
				err = file.settleAll(ctx, t, same, alone)
			}
			alone = errors.Is(err, errGone) // when the commit is tried again
			return err
		})
		for {
			err := r.o.writer.submit(context.WithoutCancel(ctx), op)
			if err == nil {
				break
			}
			r.o.config.logger.ErrorContext(ctx, "outbox: what was delivered cannot be removed", "error", err)
			// When the relay ends, they stay, and are delivered again.
			if isDamaged(err) || pause(ctx, afterFailure) != nil {
				return err
			}
		}
		r.land(landed...)
		r.o.settled.broadcast()
	}
}

// same returns those of the messages that are in the file as they were read. Others may
// be there under the same ids if somebody has put back a backup into the open file: then
// the relay ends, and another begins. All that is known of that is a new number of the
// schema, which other changes cause, too.
func (r *relay) same(ctx context.Context, f *file, landed []*flight) ([]*flight, error) {
	var schema int64
	err := f.writer.QueryRowContext(ctx, schemaVersion).Scan(&schema)
	if err != nil || schema == r.schema {
		return landed, err
	}
	var same []*flight
	for _, done := range landed {
		var tail []byte
		err := f.writer.QueryRowContext(ctx, tailOf, done.id).Scan(&tail)
		switch {
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return nil, err
		case err != nil || sumOf(tail) == done.sum:
			same = append(same, done)
		default:
			r.o.turn.Store(r.turn + 1)
		}
	}
	if len(same) < len(landed) {
		r.o.config.logger.WarnContext(ctx, "outbox: the file holds other messages than before, as of a backup; the relay begins anew")
	}
	return same, nil
}

// schema returns the number of the schema, which the end of a restoration changes.
func (o *Outbox) schema(ctx context.Context) (number int64, err error) {
	err = o.read(ctx, func(f *file) error { return f.db.QueryRowContext(ctx, schemaVersion).Scan(&number) })
	return number, err
}

// gather waits a moment for more to land, if more is under way: a commit for many
// takes little longer than one for a few.
func (r *relay) gather(ctx context.Context) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for {
		r.mu.Lock()
		enough := len(r.landed) == r.flying || len(r.landed) >= gatherMost
		r.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-r.changed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// operation returns one that does nothing once the file has been exchanged, for
// then the ids may be those of others.
func (r *relay) operation(lazy bool, do func(ctx context.Context, f *file, t *totals) error) *operation {
	return &operation{lazy: lazy, do: func(ctx context.Context, f *file, t *totals) error {
		if r.o.turn.Load() != r.turn {
			return nil
		}
		return do(ctx, f, t)
	}}
}

// settleAll removes messages that were delivered, which are in order, and parks what
// of them was refused. Those of which nothing was refused are mostly one behind the
// other, and then, unless each is to be alone, one statement removes them all.
func (f *file) settleAll(ctx context.Context, t *totals, landed []*flight, alone bool) error {
	t.settledAt = time.Now().UnixMilli()
	for len(landed) > 0 {
		n := 0 // how many are removed together
		for !alone && n < len(landed) && landed[n].isDelivered() && landed[n].id == landed[0].id+int64(n) {
			n++
		}
		var err error
		if n > 1 {
			err = f.removeRun(ctx, t, landed[:n])
		} else {
			n, err = 1, f.settle(ctx, t, landed[0])
		}
		if err != nil {
			return err
		}
		landed = landed[n:]
	}
	return nil
}

// removeRun removes messages whose ids are one behind the other. If some of them have
// gone, the error is errGone: which, one statement does not tell.
func (f *file) removeRun(ctx context.Context, t *totals, run []*flight) error {
	result, err := f.writer.ExecContext(ctx, removeRun, run[0].id, run[len(run)-1].id)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != int64(len(run)) {
		return errors.Join(err, errGone)
	}
	for _, done := range run {
		t.remove(done.records, done.bytes)
		t.delivered += int64(done.delivered)
	}
	return nil
}

var (
	// errGone says that not all messages were there to be removed together.
	errGone = errors.New("messages have gone")
	// errNotRemoved says that a message is there that was removed.
	errNotRemoved = errors.New("messages cannot be removed")
)

// isDelivered reports whether all of a message was.
func (f *flight) isDelivered() bool { return f.delivered == f.records && !f.unreadable }

// settle removes a message that was delivered, and parks what of it was refused, or
// all of it as it is if it cannot be read.
func (f *file) settle(ctx context.Context, t *totals, done *flight) error {
	if done.unreadable {
		return f.setAside(ctx, t, done.id, done.reason)
	}
	var message []byte
	if len(done.refused) > 0 {
		var err error
		if message, err = encode(done.refused, time.Now()); err != nil {
			// They are not those of the message: the next sender is wrong.
			err = f.writer.QueryRowContext(ctx, "SELECT message FROM kissmetrics_waiting WHERE id = ?", done.id).Scan(&message)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	removed, err := f.take(ctx, t, done)
	if err != nil || !removed || message == nil {
		return err
	}
	return f.park(ctx, t, marked(message, markParked), done.reason)
}

// setAside parks a message that cannot be read, as it is.
func (f *file) setAside(ctx context.Context, t *totals, id int64, reason string) error {
	var message []byte
	err := f.writer.QueryRowContext(ctx, removeWaiting+" RETURNING message", id).Scan(&message)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	s, _, _ := parse(message, false)
	t.remove(s.records, len(message))
	t.settledAt = time.Now().UnixMilli()
	return f.park(ctx, t, message, reason)
}

// take removes a waiting message, if it is there.
func (f *file) take(ctx context.Context, t *totals, done *flight) (bool, error) {
	result, err := f.writer.ExecContext(ctx, removeWaiting, done.id)
	if err != nil {
		return false, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		var there bool // as where a trigger of somebody's keeps it
		err = errors.Join(err, f.writer.QueryRowContext(ctx, isWaiting, done.id).Scan(&there))
		if there {
			err = errors.Join(err, errNotRemoved)
		}
		return false, err
	}
	t.remove(done.records, done.bytes)
	t.delivered += int64(done.delivered)
	return true, nil
}

func (f *file) park(ctx context.Context, t *totals, message []byte, reason string) error {
	t.parked++
	_, err := f.writer.ExecContext(ctx, insertParked, message, time.Now().Unix(), reason)
	return err
}
