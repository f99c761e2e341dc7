package riverbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/kissmetrics-go/kissmetrics"
)

// Queue is the name of the River queue that records wait in, unless
// [WithQueueName] gives another.
const Queue = "kissmetrics"

// maxAttempts is what River's counter can hold, less room for its JobRetry,
// which may raise it. An attempt counts only when it ended with its process, or
// with the connection to the database.
const maxAttempts = 32_000

var (
	// ErrNotStored is what the errors of [Sender.Send] and [Sender.SendTx] wrap when
	// the database did not take the records. The cause is wrapped too, such as a
	// [github.com/jackc/pgx/v5/pgconn.PgError].
	ErrNotStored = errors.New("riverbox: the records were not stored")
	// ErrInvalidOption is what every error of [New] wraps.
	ErrInvalidOption = errors.New("riverbox: invalid option")
)

// Sender is a [kissmetrics.Sender] that stores records as River jobs. It is safe
// for concurrent use, has no goroutines, and need not be closed.
type Sender struct {
	client *river.Client[pgx.Tx]
	opts   river.InsertOpts
}

// An Option is an option of [New].
type Option func(*Sender)

// WithQueueName stores records in another River queue, for programs that send to
// several products of Kissmetrics: each needs a queue, a River client that works
// that queue alone, and in it a [Worker] with the product's API key. Records in
// different queues are no repeats of each other.
//
// A name has at most 64 characters, by River's rule: small letters and digits, and
// between those single underscores or hyphens.
func WithQueueName(name string) Option {
	return func(s *Sender) { s.opts.Queue = name }
}

// New returns a sender that inserts jobs by a River client. The client need not
// be started: one without Queues and Workers only stores.
func New(client *river.Client[pgx.Tx], options ...Option) (*Sender, error) {
	s := &Sender{client: client, opts: river.InsertOpts{
		MaxAttempts: maxAttempts,
		Queue:       Queue,
		UniqueOpts:  river.UniqueOpts{ByArgs: true, ByQueue: true},
	}}
	var wrong []error
	if client == nil {
		wrong = append(wrong, fmt.Errorf("%w: the client is nil", ErrInvalidOption))
	}
	for _, o := range options {
		if o == nil {
			wrong = append(wrong, fmt.Errorf("%w: an option is nil", ErrInvalidOption))
			continue
		}
		o(s)
	}
	if !isQueueName(s.opts.Queue) {
		wrong = append(wrong, fmt.Errorf("%w: WithQueueName: %.70q is not the name of a queue", ErrInvalidOption, s.opts.Queue))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return s, nil
}

// isQueueName reports whether River takes the name, which it says only when a job
// is inserted.
func isQueueName(name string) bool {
	separated := true
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			separated = false
		case (c == '_' || c == '-') && !separated:
			separated = true
		default:
			return false
		}
	}
	return !separated && len(name) <= 64
}

// Send stores the records as one job and returns nil when that is committed. A
// record without a time, which only an alias can be, gets that of its acceptance.
// The error is that of the records' validation, or wraps [ErrNotStored].
//
// A message that is a repeat of one that River still has, waiting or delivered,
// is not stored again: one whose records are of the same kind, person, name and
// second, with properties of the same names. Kissmetrics would ignore it. One
// that is parked does not count, so that a repeat is another chance.
func (s *Sender) Send(ctx context.Context, records []kissmetrics.Record) error {
	args, err := newArgs(records, time.Now())
	if err != nil || len(records) == 0 {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if _, err := s.client.Insert(ctx, args, &s.opts); err != nil {
		return notStored(err)
	}
	return nil
}

// SendTx is Send in a transaction of the caller: all of the records are stored
// if it is committed, and none if it is rolled back. An error of the validation
// leaves the transaction as it was; after one that wraps [ErrNotStored],
// PostgreSQL lets it only be rolled back.
func (s *Sender) SendTx(ctx context.Context, tx pgx.Tx, records []kissmetrics.Record) error {
	args, err := newArgs(records, time.Now())
	if err != nil || len(records) == 0 {
		return err
	}
	if isNil(tx) {
		return notStored(errors.New("the transaction is nil"))
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if _, err := s.client.InsertTx(ctx, tx, args, &s.opts); err != nil {
		return notStored(err)
	}
	return nil
}

// isNil reports whether an interface holds nothing, or a pointer to nothing.
func isNil(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// notStored says that a message was not stored, and why. The texts of PostgreSQL's
// errors, other than their details, quote no values.
func notStored(err error) error { return fmt.Errorf("%w: %w", ErrNotStored, err) }
