package riverbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// ErrNotParked is returned by [Sender.Requeue] and [Sender.Delete] for an id that
// is not that of a parked message.
var ErrNotParked = errors.New("riverbox: there is no such parked message")

// parkedPage is how many parked messages are read at once.
const parkedPage = 100

// Parked is a message that can never be delivered; see the package.
type Parked struct {
	// ID is that of its job, for Requeue, Delete and River's own means.
	ID int64
	// Time is when it was parked.
	Time time.Time
	// Reason says why. It holds neither identities nor values.
	Reason string
	// Records are all records of the message. Those that were not refused have
	// been delivered. There are none if the job could not be read.
	Records []kissmetrics.Record
}

// Parked lists the parked messages of the queue, the oldest first: the jobs that
// River has as cancelled, and those that it has given up (discarded). An error ends
// the list: it is that of ctx, [kissmetrics.ErrClosed], or the database's.
func (s *Sender) Parked(ctx context.Context) iter.Seq2[Parked, error] {
	return func(yield func(Parked, error) bool) {
		ctx, last := nilness.Context(ctx), int64(0)
		for {
			page, err := s.parkedAfter(ctx, last)
			if err != nil {
				yield(Parked{}, err)
				return
			}
			for _, p := range page {
				if last = p.ID; !yield(p, nil) {
					return
				}
			}
			if len(page) < parkedPage {
				return
			}
		}
	}
}

// parkedAfter returns the parked messages whose ids follow another.
func (s *Sender) parkedAfter(ctx context.Context, last int64) ([]Parked, error) {
	if err := s.isClosed(); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, s.in(`SELECT id, finalized_at, args::text, coalesce(errors[cardinality(errors)]->>'error', '')
		FROM river_job WHERE kind = $1 AND queue = $2 AND id > $3 AND state IN ('cancelled', 'discarded')
		ORDER BY id LIMIT $4`), Args{}.Kind(), s.config.queue, last, parkedPage)
	if err != nil {
		return nil, s.failed(ctx, "listing parked messages", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Parked, err error) {
		var args Args
		var text string
		if err := row.Scan(&p.ID, &p.Time, &text, &p.Reason); err != nil {
			return Parked{}, err
		}
		p.Reason = strings.TrimPrefix(p.Reason, "JobCancelError: ") // River's own word for it
		if err := json.Unmarshal([]byte(text), &args); err == nil {
			p.Records, _ = args.Records()
		}
		return p, nil
	})
	return page, s.failed(ctx, "listing parked messages", err)
}

// Requeue makes parked messages wait for delivery again, each as a whole. All of
// them or, after an error, none. It works even if the same message was sent again
// since, which River's own JobRetry then refuses for jobs that somebody has
// cancelled by hand. The error wraps [ErrNotParked], is that of ctx,
// [kissmetrics.ErrClosed], or the database's.
func (s *Sender) Requeue(ctx context.Context, ids ...int64) error {
	return s.unpark(ctx, ids, func(ctx context.Context, tx pgx.Tx, id int64) error {
		_, err := s.client.JobRetryTx(ctx, tx, id)
		return err
	})
}

// Delete removes parked messages for good: all of them or, after an error, none.
// The error is one of those of [Sender.Requeue].
func (s *Sender) Delete(ctx context.Context, ids ...int64) error {
	return s.unpark(ctx, ids, func(ctx context.Context, tx pgx.Tx, id int64) error {
		_, err := s.client.JobDeleteTx(ctx, tx, id)
		return err
	})
}

// unpark does something with parked messages, in one transaction.
func (s *Sender) unpark(ctx context.Context, ids []int64, do func(ctx context.Context, tx pgx.Tx, id int64) error) error {
	if err := s.isClosed(); err != nil {
		return err
	}
	ctx = nilness.Context(ctx)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for _, id := range ids {
			tag, err := tx.Exec(ctx, s.in(`UPDATE river_job SET unique_key = NULL, unique_states = NULL
				WHERE kind = $1 AND queue = $2 AND id = $3 AND state IN ('cancelled', 'discarded')`), Args{}.Kind(), s.config.queue, id)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				return fmt.Errorf("%w: %d", ErrNotParked, id)
			}
			if err := do(ctx, tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrNotParked) {
		return err
	}
	return s.failed(ctx, "unparking", err)
}

// forgetKey has River not tell repeats of a job any more, so that it can be
// retried, by whatever means, although the same message was sent again.
func (s *Sender) forgetKey(ctx context.Context, id int64) error {
	if s.pool == nil {
		return errNoSender
	}
	_, err := s.pool.Exec(ctx, s.in(`UPDATE river_job SET unique_key = NULL, unique_states = NULL WHERE id = $1`), id)
	return s.failed(ctx, "parking", err)
}
