package kissmetrics

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/queue"
	"github.com/kissmetrics-go/kissmetrics/internal/tally"
)

// maxWorkers is also how many idle connections are kept, at most.
const maxWorkers = 1024

// A FullPolicy says what becomes of a message for which a [Queue] has no room.
type FullPolicy int

const (
	// FullRefuse refuses the message with ErrQueueFull.
	FullRefuse FullPolicy = iota
	// FullWait waits for room, until the caller's context ends or the queue is
	// closed. A message for which even an empty queue has no room is refused.
	FullWait
	// FullDropOldest drops the messages that have waited longest.
	FullDropOldest
)

// A Queue is a [Sender] that accepts records at once and delivers them later,
// by another Sender. What it has accepted it keeps in memory and tries until it is
// delivered, refused for good, too old for [WithMaxAge], or handed back by
// [Queue.Close]; it does not survive the process.
//
// The records of one message are accepted together, and delivered in order, one
// after the other. Messages are delivered in no particular order; Kissmetrics goes
// by their time.
//
// The queue finds out how many messages to have under way at once, up to
// [WithWorkers], by the rules of TCP Vegas and of the Gradient limit of
// github.com/Netflix/concurrency-limits. It begins with 8 and doubles that while
// answers take no longer for it. When answers slow down or deliveries fail, it tries
// half as many, and keeps to that where answers are faster or fewer fail. A server
// that refuses what comes too fast (429, or any failure with a Retry-After) is sent
// a little less than it took in a second, and then slowly more, by the rule of
// CUBIC (RFC 9438). One that is overloaded (503 with a Retry-After) gets fewer at
// once instead, and for 30 seconds to 2 minutes no more are tried. After other
// failures that is so for 2 to 30 seconds. Where fewer at once fail as often, as behind
// a load balancer that has lost some of its servers, their share is taken for usual and
// does not slow the queue down.
//
// When three deliveries or more fail in a row, twice as many as are under way, the queue
// as a whole holds back: one message at a time is tried, after waits that grow as
// [WithBackoff] says and are at least as long as a Retry-After asks (up to 5
// minutes). What came after the last failure is tried first, and then what else has
// not failed. With the first success all go on. A message that fails goes to the
// back. Messages that fail again and again while others are delivered are tried one
// at a time, with waits in between (those that the server asks for, too), so that
// they cannot hold up the others. A record that is refused ([DeliveryError.Refused],
// or a [*ValidationError]) is not tried again. Any other error is taken for a failure
// that may pass.
//
// A Queue is safe for concurrent use. It has goroutines while there is something
// to deliver, and all of them end with Close.
type Queue struct {
	send   func(context.Context, []Record) error
	next   Sender
	config queueConfig
	engine *queue.Engine
	left   atomic.Pointer[UndeliveredError] // what Close returns
	losses tally.Tally
}

// Stats are the counts of a [Queue], in records. At every moment Accepted is
// the sum of Delivered, Failed, Dropped and Waiting.
type Stats struct {
	// Accepted is how many Send has accepted.
	Accepted int64 `json:"accepted"`
	// Delivered is how many the next sender has taken.
	Delivered int64 `json:"delivered"`
	// Failed is how many the next sender will never take.
	Failed int64 `json:"failed"`
	// Dropped is how many were dropped to make room, or handed back by Close.
	Dropped int64 `json:"dropped"`
	// Waiting is how many are in the queue, those under way included.
	Waiting int64 `json:"waiting"`
	// WaitingBytes is their size in bytes: names and values, plus 64 per message.
	WaitingBytes int64 `json:"waiting_bytes"`
	// Adjusted is how many adjustments a [Client] has made to its messages; see
	// [Adjustment].
	Adjusted int64 `json:"adjusted"`
	// Outage says that deliveries fail, and the queue holds back.
	Outage bool `json:"outage"`
}

// queueConfig is what the options of a [Queue] say.
type queueConfig struct {
	sharedConfig

	workers    int
	maxRecords int
	maxBytes   int
	whenFull   FullPolicy
	onResult   func(context.Context, Record, error)
	maxAge     time.Duration
	keys       []any
	detach     func(context.Context) context.Context

	given []string // the names of the options that were given
}

func defaultQueue(shared sharedConfig) queueConfig {
	return queueConfig{
		sharedConfig: shared,
		workers:      168,
		maxRecords:   100_000,
		maxBytes:     64 << 20,
	}
}

// NewQueue returns a queue in front of another sender.
//
// If next is an [*HTTPSender], it tries each record once, and leaves further
// attempts to the queue. The Send of another one must not call the queue's Flush or
// Close, which wait for it.
func NewQueue(next Sender, options ...QueueOption) (*Queue, error) {
	c, err := configureQueue(defaultShared(), options)
	if nilness.IsNil(next) {
		err = errors.Join(err, fmt.Errorf("%w: NewQueue: the next sender is nil", ErrInvalidOption))
	}
	if err != nil {
		return nil, err
	}
	return newQueue(next, c), nil
}

func configureQueue(shared sharedConfig, options []QueueOption) (queueConfig, error) {
	c := defaultQueue(shared)
	wrong := complaint.New(ErrInvalidOption, "")
	complaint.Apply(options, wrong, func(o QueueOption) { o.applyQueue(&c) })
	c.validate(wrong)
	return c, wrong.Err()
}

func (c *queueConfig) validate(wrong *complaint.List) {
	c.sharedConfig.validate(wrong)
	if c.workers < 1 || c.workers > maxWorkers {
		wrong.Add("WithWorkers: %d is not a number from 1 to %d", c.workers, maxWorkers)
	}
	if c.maxRecords < 1 || c.maxBytes < 1 {
		wrong.Add("WithCapacity: %d records and %d bytes leave no room", c.maxRecords, c.maxBytes)
	}
	if p := c.whenFull; p < FullRefuse || p > FullDropOldest {
		wrong.Add("WithFullPolicy: unknown policy %d", p)
	}
	given := func(name string) bool { return slices.Contains(c.given, name) }
	if given("WithOnResult") && c.onResult == nil {
		wrong.Add("WithOnResult: the function is nil")
	}
	if given("WithMaxAge") && c.maxAge <= 0 {
		wrong.Add("WithMaxAge: %v is not positive", c.maxAge)
	}
	if given("WithContext") && c.detach == nil {
		wrong.Add("WithContext: the function is nil")
	}
	for _, key := range c.keys {
		if key == nil || !reflect.ValueOf(key).Comparable() {
			wrong.Add("WithContextValues: a key of type %T cannot be one", key)
		}
	}
}

func newQueue(next Sender, c queueConfig) *Queue {
	q := &Queue{send: contained(next.Send), next: next, config: c}
	if sender, ok := next.(*HTTPSender); ok {
		q.send = contained(sender.Once().send) // the records have been checked
	}
	q.engine = queue.New(queue.Config{
		MaxRecords:    c.maxRecords,
		MaxBytes:      c.maxBytes,
		Full:          queue.Policy(c.whenFull),
		Ceiling:       c.workers,
		InitialWait:   c.initialBackoff,
		MaxWait:       c.maxBackoff,
		MaxRetryAfter: maxRetryAfter,
		MaxAge:        c.maxAge,
		NewCourier:    q.newCourier,
		Lost:          q.lost,
		Outage:        q.outage,
		Recovered:     q.recovered,
	})
	return q
}

// Send accepts the records, all of them or none, and returns at once; with
// FullWait it may wait for room. It does not matter whether ctx has ended, or ends
// later. Nothing of it is kept but what [WithContextValues] and [WithContext] say.
//
// The error is that of the records' validation, [ErrQueueFull] (joined with that
// of ctx, where it ended while waiting) or [ErrClosed].
func (q *Queue) Send(ctx context.Context, records []Record) error {
	if err := validate(records); err != nil {
		return err
	}
	return q.accept(nilness.Context(ctx), records)
}

// accept is Send for records that are known to be valid.
func (q *Queue) accept(ctx context.Context, records []Record) error {
	if len(records) == 0 {
		return nil
	}
	err := q.engine.Accept(ctx, queue.NewMessage(packRecords(records), len(records), q.config.keep(ctx)))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, queue.ErrClosed):
		return ErrClosed
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return fmt.Errorf("%w: %w", ErrQueueFull, ctx.Err())
	}
	return ErrQueueFull
}

// Flush waits until every record that was accepted before it has got its
// outcome: delivered, refused or dropped. If the next sender is a [Flusher], its
// Flush is called then. The error is that of ctx, of the next sender's Flush, or
// the [*UndeliveredError] of a Close that gave up.
func (q *Queue) Flush(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	if err := q.engine.Flush(ctx); err != nil {
		return fmt.Errorf("kissmetrics: flush: %w", err)
	}
	if left := q.left.Load(); left != nil {
		return left
	}
	return flush(ctx, q.next)
}

// flush calls the Flush method of a sender that has one. A panic is an error.
func flush(ctx context.Context, sender Sender) (err error) {
	defer contain(&err)
	if flusher, ok := sender.(Flusher); ok {
		return flusher.Flush(ctx)
	}
	return nil
}

// Close makes every later Send return [ErrClosed], and goes on delivering, and
// trying again, until nothing is left or ctx ends. Then it cancels what is under
// way, waits for that, and returns an [*UndeliveredError] that holds what was not
// delivered and the cause of the end ([context.Cause]). If nothing is left, it calls the
// Flush of the next sender, if that is a [Flusher].
//
// A [Doer] or Sender that goes on for more than a second after it was cancelled is
// left behind: its records are handed back, though it may still deliver them, and
// the error says how many such calls there are.
//
// Close may be called several times, and by many goroutines: the first context
// that ends ends the trying, and all calls return the same.
func (q *Queue) Close(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	q.engine.Close(ctx, q.handBack)
	q.logLosses(q.losses.Rest(time.Now()))
	if left := q.left.Load(); left != nil {
		return left
	}
	return flush(ctx, q.next)
}

// handBack makes an error of what is left when the queue is closed.
func (q *Queue) handBack(left queue.Left) {
	records := make([][]Record, len(left.Messages))
	for i, m := range left.Messages {
		records[i] = unpackRecords(m.Payload(), nil, nil)
	}
	undelivered := &UndeliveredError{Records: slices.Concat(records...), Err: left.Cause}
	if left.Behind > 0 {
		undelivered.Err = fmt.Errorf("%w (calls that go on although they were cancelled: %d)", left.Cause, left.Behind)
	}
	q.left.Store(undelivered)
	q.lose(len(undelivered.Records), ErrClosed.Error())
	for i, m := range left.Messages {
		q.report(m, records[i], ErrClosed)
	}
}

// Stats returns the counts as they are now.
func (q *Queue) Stats() Stats {
	s := q.engine.Stats()
	return Stats{s.Accepted, s.Delivered, s.Failed, s.Dropped, s.Waiting, s.WaitingBytes, 0, s.Outage}
}

// lost reports a message that was dropped to make room, or is too old.
func (q *Queue) lost(m *queue.Message, why queue.Reason, last error) {
	if why == queue.Dropped {
		q.lose(m.Records(), ErrQueueFull.Error())
		if q.config.onResult != nil { // or there is no need to unpack it
			q.report(m, unpackRecords(m.Payload(), nil, nil), ErrQueueFull)
		}
		return
	}
	records := unpackRecords(m.Payload(), nil, nil)
	err := &DeliveryError{
		Kind: FailureUnavailable, Undelivered: records, Err: last,
		Reason: fmt.Sprintf("not within %v; the last failure: %s", q.config.maxAge, Settle(records, last).Reason),
	}
	q.lose(len(records), err.Reason)
	q.report(m, records, err)
}

func (q *Queue) outage(failures int, err error) {
	q.config.logger.Warn("kissmetrics: deliveries fail; the queue holds back", "failures", failures, "reason", Settle(nil, err).Reason)
}

func (q *Queue) recovered(after time.Duration) {
	q.config.logger.Info("kissmetrics: deliveries succeed again", "after", after)
}

// report tells the outcome of records to the caller's function.
func (q *Queue) report(m *queue.Message, records []Record, err error) {
	if q.config.onResult == nil {
		return
	}
	for _, r := range records {
		q.reportOne(m.Context(), r, err)
	}
}

func (q *Queue) reportOne(ctx context.Context, r Record, err error) {
	defer func() {
		if recover() != nil { // what it panics with may hold anything
			q.config.logger.ErrorContext(ctx, "kissmetrics: the function of WithOnResult panicked", "record", r)
		}
	}()
	q.config.onResult(ctx, r, err)
}

// lose counts records that are lost, for the log.
func (q *Queue) lose(records int, reason string) {
	q.logLosses(q.losses.Add(time.Now(), records, reason))
}

func (q *Queue) logLosses(records int, reason string, tell bool) {
	if tell {
		q.config.logger.Warn("kissmetrics: records were not delivered", "records", records, "reason", reason)
	}
}

// A courier delivers messages for one worker of the queue's engine.
type courier struct {
	q       *Queue
	outcome Outcome
	err     error

	// Memory for what is under way, used again and again, unless somebody is told
	// of records and may keep them.
	records    []Record
	properties []Property
}

func (q *Queue) newCourier() queue.Courier {
	c := &courier{q: q}
	if q.config.onResult == nil {
		c.records, c.properties = make([]Record, 0, 1), make([]Property, 0, 16)
	}
	return c
}

// Deliver implements [queue.Courier].
func (c *courier) Deliver(ctx context.Context, m *queue.Message, age time.Duration) queue.Result {
	records := unpackRecords(m.Payload(), c.records, c.properties)
	c.err = c.q.send(ctx, records)
	c.outcome = Settle(records, c.err).Aged(age)
	result := queue.Result{
		Delivered:  len(c.outcome.Delivered),
		Failed:     len(c.outcome.Refused),
		Err:        c.err,
		RetryAfter: c.outcome.RetryAfter,
		Throttled:  c.outcome.Throttled,
		Overloaded: c.outcome.Overloaded,
	}
	if n := len(c.outcome.Undelivered); n > 0 && n < len(records) {
		result.Rest = packRecords(c.outcome.Undelivered)
	}
	return result
}

// Report implements [queue.Courier].
func (c *courier) Report(m *queue.Message) {
	outcome, err := c.outcome, c.err
	c.outcome, c.err = Outcome{}, nil
	c.q.lose(len(outcome.Refused), outcome.Reason)
	c.q.report(m, outcome.Delivered, nil)
	c.q.report(m, outcome.Refused, err)
}
