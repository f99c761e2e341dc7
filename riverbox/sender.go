package riverbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/lifetime"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

const (
	// maxAttempts is what River's counter can hold, less room for its JobRetry,
	// which may raise it. An attempt counts only when it ended with its process, or
	// with the connection to the database.
	maxAttempts = 32_000
	// flushPoll is how often Flush asks the database.
	flushPoll = 100 * time.Millisecond
)

// ErrNotStored is what the errors of [Sender.Send] and [Sender.SendTx] wrap when
// the database did not take the records. The cause is wrapped too, such as a
// [github.com/jackc/pgx/v5/pgconn.PgError].
var ErrNotStored = errors.New("riverbox: the records were not stored")

// A Sender is a [kissmetrics.Sender] that stores records as River jobs, and the
// relay that delivers them from there. It is safe for concurrent use. It starts no
// goroutine that outlives a call.
type Sender struct {
	pool     *pgxpool.Pool
	client   *river.Client[pgx.Tx]
	opts     river.InsertOpts
	config   config
	table    string // river_job, with its schema
	lifetime *lifetime.Lifetime
}

var (
	_ kissmetrics.Sender  = (*Sender)(nil)
	_ kissmetrics.Flusher = (*Sender)(nil)
)

// New returns a sender that stores in the database of pool, which stays the
// caller's to close. It checks that River's tables are there and changes nothing.
// The error wraps [kissmetrics.ErrInvalidOption], or is the database's.
func New(ctx context.Context, pool *pgxpool.Pool, options ...Option) (*Sender, error) {
	c, err := configure(options)
	if pool == nil {
		err = errors.Join(err, fmt.Errorf("%w: New: the pool is nil", kissmetrics.ErrInvalidOption))
	}
	if err != nil {
		return nil, err
	}
	s := &Sender{
		pool:   pool,
		client: c.client,
		opts: river.InsertOpts{
			MaxAttempts: maxAttempts,
			Queue:       c.queue,
			UniqueOpts:  river.UniqueOpts{ByArgs: true, ByQueue: true},
		},
		config:   c,
		table:    tableName(c.schema),
		lifetime: lifetime.New(),
	}
	if s.client == nil {
		if s.client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: c.logger, Schema: c.schema}); err != nil {
			return nil, fmt.Errorf("%w: WithSchema: %w", kissmetrics.ErrInvalidOption, err)
		}
	}
	ctx = nilness.Context(ctx)
	hides, err := s.check(ctx)
	if err != nil {
		return nil, err
	}
	if hides {
		s.warnHidden(ctx)
	}
	return s, nil
}

// Send stores the records as one job and returns nil when that is committed. A
// record without a time, which only an alias can be, gets the time at which it is
// accepted. The error is the records' validation error, [kissmetrics.ErrClosed],
// or wraps [ErrNotStored].
//
// A message is not stored again if River still has an equal one, waiting or
// delivered: one with the same [kissmetrics.RepeatKey], so equal in everything
// that Kissmetrics tells records apart by. Parked messages do not count, so
// sending one again gives it another chance.
func (s *Sender) Send(ctx context.Context, records []kissmetrics.Record) error {
	args, err := s.args(records)
	if err != nil || len(records) == 0 {
		return err
	}
	if _, err := s.client.Insert(nilness.Context(ctx), args, &s.opts); err != nil {
		return notStored(err)
	}
	return nil
}

// SendTx is Send in a transaction of the caller: all of the records are stored
// when it is committed, and none if it is rolled back. A validation error leaves
// the transaction as it was. After an error that wraps [ErrNotStored], PostgreSQL
// only lets it be rolled back.
func (s *Sender) SendTx(ctx context.Context, tx pgx.Tx, records []kissmetrics.Record) error {
	args, err := s.args(records)
	if err != nil || len(records) == 0 {
		return err
	}
	if nilness.IsNil(tx) {
		return notStored(errors.New("the transaction is nil"))
	}
	if _, err := s.client.InsertTx(nilness.Context(ctx), tx, args, &s.opts); err != nil {
		return notStored(err)
	}
	return nil
}

func (s *Sender) args(records []kissmetrics.Record) (Args, error) {
	if err := s.isClosed(); err != nil {
		return Args{}, err
	}
	return newArgs(records, time.Now())
}

// notStored says that a message was not stored, and why. The texts of PostgreSQL's
// errors quote no values; only their details do.
func notStored(err error) error { return fmt.Errorf("%w: %w", ErrNotStored, explained(err)) }

// Flush waits until everything that was stored before has its outcome: delivered
// or parked. That takes a [Sender.Run] or a [Worker], here or elsewhere. The error
// is that of ctx, [kissmetrics.ErrClosed], or the database's.
func (s *Sender) Flush(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	var last int64
	err := s.queryRow(ctx, `SELECT coalesce(max(id), 0) FROM river_job WHERE kind = $1 AND queue = $2`).Scan(&last)
	for {
		var waiting bool
		if err == nil {
			err = s.queryRow(ctx, `SELECT EXISTS (SELECT 1 FROM river_job
				WHERE kind = $1 AND queue = $2 AND finalized_at IS NULL AND id <= $3)`, last).Scan(&waiting)
		}
		if err != nil || !waiting {
			return s.failed(ctx, "flushing", err)
		}
		select {
		case <-time.After(flushPoll):
		case <-s.lifetime.Closed():
			return kissmetrics.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends every [Sender.Run] of this sender and waits until they have returned,
// or until ctx ends, whose error it then returns. Later calls of every other
// method return [kissmetrics.ErrClosed]. The pool is the caller's, and stays open.
func (s *Sender) Close(ctx context.Context) error { return s.lifetime.Close(nilness.Context(ctx)) }

// isClosed returns an error if the sender is closed.
func (s *Sender) isClosed() error {
	if s.lifetime.IsClosed() {
		return kissmetrics.ErrClosed
	}
	return nil
}
