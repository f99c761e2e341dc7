package kissmetrics

import (
	linked "container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

const (
	// maxWorkers is also how many idle connections are kept.
	maxWorkers = 256
	// messageBytes is what a message takes in the queue beside its records.
	messageBytes = 64
	// outageAfter is how many failures in a row, with no success between them,
	// are taken for an outage.
	outageAfter = 3
	// lossLogInterval is how often a log line says that records were lost.
	lossLogInterval = time.Minute
)

// A FullPolicy says what becomes of a message for which a [Queue] has no room.
type FullPolicy int

const (
	// FullRefuse refuses the message with ErrQueueFull.
	FullRefuse FullPolicy = iota
	// FullWait waits for room, until the caller's context ends or the queue is
	// closed.
	FullWait
	// FullDropOldest drops the messages that have waited longest.
	FullDropOldest
)

// A Queue is a [Sender] that accepts records at once and delivers them later,
// by another Sender and a fixed number of workers. What it has accepted it
// keeps in memory and tries until it is delivered, refused for good, or handed
// back by [Queue.Close]; it does not survive the process.
//
// The records of one message are accepted together, and delivered in order by
// one worker. Messages are delivered in no particular order; Kissmetrics goes by
// their time.
//
// When deliveries fail, the queue as a whole holds back: one worker at a time
// tries a message, after waits that grow as [WithBackoff] says and are at least
// as long as a Retry-After asks (up to 5 minutes); with the first success all go
// on. A message that fails goes to the back, so that it cannot hold up the
// others. A record that is refused ([DeliveryError.Refused], or a
// [*ValidationError]) is not tried again. Any other error is taken for a failure
// that may pass.
//
// A Queue is safe for concurrent use. It has goroutines, which end with Close.
type Queue struct {
	send     func(context.Context, []Record) error
	lends    bool // nobody keeps the records that send is given
	next     Sender
	config   queueConfig
	stopping context.Context // ends when Close gives up
	stop     context.CancelFunc
	drained  chan struct{} // closed when the queue is, and nothing is left
	exited   chan struct{} // closed when the last worker has ended
	finish   sync.Once

	mu      sync.Mutex
	work    sync.Cond // for workers: there may be something to do
	stats   Stats
	first   *queued // the messages to be delivered, but for those under way
	last    *queued
	waiters linked.List // of *waiter, for room
	marks   []*mark     // the last is that of the messages to come
	workers int         // those that have not ended
	closed  bool
	stopped bool  // what is left is not tried any more,
	cause   error // since a context of Close ended
	err     error // what Close returns

	prober    bool // a worker waits before it tries again, or tries
	paused    bool // the others wait until one succeeds
	since     time.Time
	failures  int // in a row
	schedule  *retry.Schedule
	notBefore time.Time // what Retry-After asked for

	losses   int // not logged yet
	lossesAt time.Time
}

// queued is one message in the queue: 64 bytes beside its data.
type queued struct {
	next    *queued
	ctx     context.Context //nolint:containedctx // for its values
	data    string          // the packed records
	records int
	mark    *mark
}

func (m *queued) bytes() int { return len(m.data) + messageBytes }

// A mark counts the messages accepted between two calls of Flush.
type mark struct {
	pending int
	done    chan struct{}
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
	// WaitingBytes is what those take: of names and values, and 64 for a message.
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

	given []string // the names of the options that were given
}

func defaultQueue(shared sharedConfig) queueConfig {
	return queueConfig{
		sharedConfig: shared,
		workers:      8,
		maxRecords:   100_000,
		maxBytes:     64 << 20,
	}
}

// NewQueue returns a queue in front of another sender, and starts its workers.
//
// An [*HTTPSender] in its place tries each record once and leaves the trying
// again to the queue.
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
	var wrong complaint
	for _, o := range options {
		if nilness.IsNil(o) {
			wrong.add("an option is nil")
			continue
		}
		o.applyQueue(&c)
	}
	c.validate(&wrong)
	return c, wrong.err()
}

func (c *queueConfig) validate(wrong *complaint) {
	c.sharedConfig.validate(wrong)
	if c.workers < 1 || c.workers > maxWorkers {
		wrong.add("WithWorkers: %d is not a number from 1 to %d", c.workers, maxWorkers)
	}
	if c.maxRecords < 1 || c.maxBytes < 1 {
		wrong.add("WithCapacity: %d records and %d bytes are no room", c.maxRecords, c.maxBytes)
	}
	if p := c.whenFull; p < FullRefuse || p > FullDropOldest {
		wrong.add("WithFullPolicy: unknown policy %d", p)
	}
	if slices.Contains(c.given, "WithOnResult") && c.onResult == nil {
		wrong.add("WithOnResult: the function is nil")
	}
}

func newQueue(next Sender, c queueConfig) *Queue {
	q := &Queue{
		send:     next.Send,
		next:     next,
		config:   c,
		drained:  make(chan struct{}),
		exited:   make(chan struct{}),
		marks:    []*mark{{done: make(chan struct{})}},
		workers:  c.workers,
		schedule: retry.NewSchedule(c.initialBackoff, c.maxBackoff),
	}
	if sender, ok := next.(*HTTPSender); ok {
		once, config := *sender, *sender.config
		once.config, config.maxAttempts = &config, 1
		q.send = once.send // the records have been checked
		q.lends = c.onResult == nil
	}
	q.work.L = &q.mu
	q.stopping, q.stop = context.WithCancel(context.Background())
	for range c.workers {
		go q.run()
	}
	return q
}

// Send accepts the records, all of them or none, and returns at once; with
// FullWait it may wait for room. It does not matter whether ctx has ended, or
// ends later; its values are kept for the delivery.
//
// The error is that of the records' validation, [ErrQueueFull] (joined with that
// of ctx, where it ended while waiting) or [ErrClosed].
func (q *Queue) Send(ctx context.Context, records []Record) error {
	if err := validate(records); err != nil {
		return err
	}
	return q.accept(orBackground(ctx), records)
}

// accept is Send for records that are known to be valid.
func (q *Queue) accept(ctx context.Context, records []Record) error {
	if len(records) == 0 {
		return nil
	}
	m := &queued{ctx: ctx, data: pack(records), records: len(records)}
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	if q.waiters.Len() == 0 && q.fits(m) {
		q.enqueue(m)
		q.mu.Unlock()
		return nil
	}
	if m.records > q.config.maxRecords || m.bytes() > q.config.maxBytes {
		q.mu.Unlock()
		return ErrQueueFull // and always will be
	}
	switch q.config.whenFull {
	case FullWait:
		w := &waiter{message: m, decided: make(chan struct{})}
		at := q.waiters.PushBack(w)
		q.mu.Unlock()
		return q.waitForRoom(ctx, w, at)
	case FullDropOldest:
		dropped, ok := q.makeRoom(m)
		if ok {
			q.enqueue(m)
		}
		q.mu.Unlock()
		for _, oldest := range dropped {
			q.lost(ErrQueueFull.Error(), oldest.records)
			q.report(oldest, unpack(oldest.data, nil), ErrQueueFull)
			q.settled(oldest)
		}
		if ok {
			return nil
		}
	default:
		q.mu.Unlock()
	}
	return ErrQueueFull
}

// fits reports whether there is room for a message.
func (q *Queue) fits(m *queued) bool {
	return q.stats.Waiting+int64(m.records) <= int64(q.config.maxRecords) &&
		q.stats.WaitingBytes+int64(m.bytes()) <= int64(q.config.maxBytes)
}

// makeRoom drops the oldest messages until there is room for m. It drops none
// where what is under way, which cannot be dropped, leaves too little.
func (q *Queue) makeRoom(m *queued) (dropped []*queued, ok bool) {
	records := q.stats.Waiting + int64(m.records) - int64(q.config.maxRecords)
	bytes := q.stats.WaitingBytes + int64(m.bytes()) - int64(q.config.maxBytes)
	oldest := q.first
	for ; oldest != nil && (records > 0 || bytes > 0); oldest = oldest.next {
		records -= int64(oldest.records)
		bytes -= int64(oldest.bytes())
	}
	if records > 0 || bytes > 0 {
		return nil, false
	}
	for q.first != oldest {
		m := q.pop()
		dropped = append(dropped, m)
		q.stats.Dropped += int64(m.records)
		q.release(m.records, m.bytes())
	}
	return dropped, true
}

// enqueue accepts a message for which there is room.
func (q *Queue) enqueue(m *queued) {
	m.mark = q.marks[len(q.marks)-1]
	m.mark.pending++
	q.stats.Accepted += int64(m.records)
	q.stats.Waiting += int64(m.records)
	q.stats.WaitingBytes += int64(m.bytes())
	q.push(m)
	q.work.Signal()
}

func (q *Queue) push(m *queued) {
	if q.first == nil {
		q.first = m
	} else {
		q.last.next = m
	}
	q.last = m
}

func (q *Queue) pop() *queued {
	m := q.first
	q.first, m.next = m.next, nil
	return m
}

// release gives back the room of records that have got their outcome.
func (q *Queue) release(records, bytes int) {
	q.stats.Waiting -= int64(records)
	q.stats.WaitingBytes -= int64(bytes)
	for front := q.waiters.Front(); front != nil && q.fits(front.Value.(*waiter).message); front = q.waiters.Front() {
		w := q.waiters.Remove(front).(*waiter)
		q.enqueue(w.message)
		close(w.decided)
	}
	q.checkDrained()
}

// checkDrained notes that a closed queue has nothing left.
func (q *Queue) checkDrained() {
	if !q.closed || q.stats.Waiting > 0 {
		return
	}
	q.work.Broadcast()
	select {
	case <-q.drained:
	default:
		close(q.drained)
	}
}

// A waiter is a message that waits for room.
type waiter struct {
	message *queued
	decided chan struct{} // closed when it is accepted, or refused with err
	err     error
}

// waitForRoom waits until a message is accepted, or ctx ends.
func (q *Queue) waitForRoom(ctx context.Context, w *waiter, at *linked.Element) error {
	select {
	case <-w.decided:
		return w.err
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-w.decided: // just now
		return w.err
	default:
		q.waiters.Remove(at)
		return fmt.Errorf("%w: %w", ErrQueueFull, ctx.Err())
	}
}

// Stats returns the counts as they are now.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats := q.stats
	stats.Outage = q.paused
	return stats
}
