package outbox

import (
	"context"
	"database/sql"
	"errors"
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
		op := r.operation(true, func(ctx context.Context, file *file, t *totals) error {
			for _, f := range landed {
				if err := file.settle(ctx, t, f); err != nil {
					return err
				}
			}
			return nil
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
		for _, f := range landed {
			r.land(f.bytes)
		}
		r.o.settled.broadcast()
	}
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

// settle removes a message that was delivered, and parks what of it was refused.
func (f *file) settle(ctx context.Context, t *totals, done *flight) error {
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
	removed, err := f.take(ctx, t, row{id: done.id, message: nil}, int64(done.records), int64(done.bytes))
	if err != nil || !removed {
		return err
	}
	t.delivered += int64(done.delivered)
	t.settledAt = time.Now().UnixMilli()
	if message == nil {
		return nil
	}
	return f.park(ctx, t, marked(message, markParked), done.reason)
}

// setAside parks a message that cannot be read, as it is.
func (f *file) setAside(ctx context.Context, t *totals, m row, why error) error {
	s, _, _ := parse(m.message, false)
	removed, err := f.take(ctx, t, m, int64(s.records), int64(len(m.message)))
	if err != nil || !removed {
		return err
	}
	t.settledAt = time.Now().UnixMilli()
	return f.park(ctx, t, m.message, "unreadable: "+why.Error())
}

// take removes a waiting message, if it is there.
func (f *file) take(ctx context.Context, t *totals, m row, records, bytes int64) (bool, error) {
	result, err := f.writer.ExecContext(ctx, removeWaiting, m.id)
	if err != nil {
		return false, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	t.messages--
	t.records -= records
	t.bytes -= bytes
	return true, nil
}

func (f *file) park(ctx context.Context, t *totals, message []byte, reason string) error {
	t.parked++
	_, err := f.writer.ExecContext(ctx, insertParked, message, time.Now().Unix(), reason)
	return err
}
