// Package queue is the engine of a queue in memory. It knows neither records nor
// senders: its messages are opaque payloads, and what delivers them is a
// [Courier]. What it decides is when, by whom and how many at once:
//
//   - gate.go: who tries again while deliveries fail, and who waits;
//   - limiter.go: how many deliveries are under way at once, and how many a second;
//   - trial.go: whether so many fail because so many are under way;
//   - lines.go: whose turn it is;
//   - room.go: what becomes of a message for which there is no room;
//   - mark.go: when everything that came before a Flush has got its outcome;
//   - worker.go: the goroutines, of which there are as many as there is work for.
//
// The gate and the limiter are state machines without goroutines, locks or
// clocks.
package queue

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

// grace is how long Close waits for deliveries that it has cancelled.
const grace = time.Second

// Overhead is how many bytes a message counts in addition to its payload.
const Overhead = 64

var (
	// ErrFull says that there is no room for a message.
	ErrFull = errors.New("queue: full")
	// ErrClosed says that the queue has been closed.
	ErrClosed = errors.New("queue: closed")
	// ErrEnded says that a delivery has ended its goroutine.
	ErrEnded = errors.New("a delivery has ended its goroutine")
)

// A Policy says what becomes of a message for which there is no room.
type Policy int

// The policies: the message is refused, it waits, or the oldest make room for it.
const (
	Refuse Policy = iota
	Wait
	DropOldest
)

// A Reason says why a message is lost.
type Reason int

const (
	// Dropped is the reason where a message had to make room for a newer one.
	Dropped Reason = iota
	// TooOld is the reason where a message was not delivered in time.
	TooOld
)

// A Message is in the queue, or is about to be.
type Message struct {
	payload  string
	records  int32
	failed   bool             // a delivery of it has failed
	kept     *context.Context // the values to deliver it with; seldom there, and so a pointer, which is smaller
	accepted time.Duration    // since the engine began
	turn     int64            // the number under which it joined its line
	next     *Message         // behind it in the line
	mark     *mark
}

// NewMessage returns a message of so many records. Its deliveries and reports
// get the values of kept, which may be nil.
func NewMessage(payload string, records int, kept context.Context) *Message { //nolint:revive // kept is no context of a call
	m := &Message{payload: payload, records: int32(records)} //nolint:gosec // two billion records fit in no memory
	if kept != nil {
		m.kept = new(kept)
	}
	return m
}

// Payload returns what the message carries.
func (m *Message) Payload() string { return m.payload }

// Records returns how many records the message has.
func (m *Message) Records() int { return int(m.records) }

// Context returns a context with the kept values that never ends.
func (m *Message) Context() context.Context {
	if m.kept == nil {
		return context.Background()
	}
	return *m.kept
}

func (m *Message) bytes() int { return len(m.payload) + Overhead }

// A Courier delivers one message after another. A worker has one for itself.
type Courier interface {
	// Deliver tries to deliver a message that has been in the queue for the time
	// age, until ctx ends. It must not panic. If it goes on for longer than a second
	// after the end, it is left behind: nobody waits for it or learns its result.
	Deliver(ctx context.Context, m *Message, age time.Duration) Result
	// Report tells what became of the records that got their outcome in the last
	// Deliver. It is called once after every Deliver, outside any lock, when the
	// outcomes have been counted.
	Report(m *Message)
}

// A Result says what became of a message.
type Result struct {
	// Delivered and Failed are how many of its records have got an outcome.
	Delivered, Failed int
	// Rest is the payload of the other records, where there are any.
	Rest string
	// Err is why those could not be delivered.
	Err error
	// RetryAfter is how long the server asks everybody to wait, zero where it did not.
	RetryAfter time.Duration
	// Throttled says that the server refused because too many came at a time, and
	// Overloaded that it may have been too many at once.
	Throttled, Overloaded bool
}

// A Config is what an engine has to know. All of it is required, but for MaxAge, and
// for Lost where messages are neither too old nor dropped.
type Config struct {
	// MaxRecords and MaxBytes bound what is in the queue.
	MaxRecords, MaxBytes int
	// Full says what becomes of a message for which there is no room.
	Full Policy
	// Ceiling bounds how many deliveries are under way at once.
	Ceiling int
	// InitialWait and MaxWait bound the waits before deliveries are tried again,
	// and MaxRetryAfter what a server can ask for.
	InitialWait, MaxWait, MaxRetryAfter time.Duration
	// MaxAge is how long a message is tried, zero for ever.
	MaxAge time.Duration

	// NewCourier returns a courier for a new worker.
	NewCourier func() Courier
	// Lost is told of messages that are lost and why; err is of the last delivery
	// where they are too old. It is called outside any lock.
	Lost func(m *Message, why Reason, err error)
	// Outage and Recovered are called outside any lock.
	Outage    func(failures int, err error)
	Recovered func(after time.Duration)
}

// Left is what is left when a queue is closed.
type Left struct {
	Messages []*Message
	// Cause is why: that of the end of the context.
	Cause error
	// Behind is how many of the messages are still being delivered, for their
	// deliveries did not end in time.
	Behind int
}

// Stats are counts of records. Accepted is always the sum of Delivered, Failed,
// Dropped and Waiting.
type Stats struct {
	Accepted     int64
	Delivered    int64
	Failed       int64
	Dropped      int64
	Waiting      int64
	WaitingBytes int64
	Outage       bool
}

// An Engine is a queue with its workers. It is safe for concurrent use.
type Engine struct {
	config   Config
	began    time.Time
	stopping context.Context //nolint:containedctx // ends when Close gives up
	stop     context.CancelFunc
	closing  chan struct{} // closed by Close
	drained  chan struct{} // closed when the queue is closed, and nothing is left
	exited   chan struct{} // closed when the last worker has ended, too
	finish   sync.Once

	mu      sync.Mutex
	stats   Stats
	lines   lines
	waiters list.List // of *waiter, for room
	marks   marks
	gate    gate
	limiter *Limiter
	closed  bool
	stopped bool       // what is left is not tried any more,
	cause   error      // since a context of Close ended for this reason
	behind  []*Message // those whose deliveries do not end, though they were cancelled

	work    sync.Cond            // for idle workers: there may be something to do
	workers map[*worker]struct{} // all of them, but for those that were left behind
	idle    int                  // those that wait for work and have not been woken
	coming  int                  // those that have been started or woken, and have not looked yet
	pacing  bool                 // one waits until the limiter admits the next delivery
}

// New returns an engine, which has no goroutine until there is work.
func New(config Config) *Engine {
	e := &Engine{
		config:  config,
		began:   time.Now(),
		workers: make(map[*worker]struct{}),
		closing: make(chan struct{}),
		drained: make(chan struct{}),
		exited:  make(chan struct{}),
		gate:    gate{schedule: retry.NewSchedule(config.InitialWait, config.MaxWait), longest: config.MaxRetryAfter},
		limiter: NewLimiter(config.Ceiling),
		marks:   newMarks(),
	}
	e.work.L = &e.mu
	e.stopping, e.stop = context.WithCancel(context.Background())
	return e
}

// Stats returns the counts as they are now.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	stats := e.stats
	stats.Outage = e.gate.paused
	return stats
}

// Flush waits until every message that was accepted before it has got its
// outcome, and that was reported. Its error is that of ctx.
func (e *Engine) Flush(ctx context.Context) error {
	e.mu.Lock()
	done := e.marks.flush()
	e.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-done: // whether ctx has ended or not
		return nil
	default:
		return ctx.Err()
	}
}

// settled notes that a message has got its outcome, and that it was reported.
func (e *Engine) settled(m *Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.marks.settled(m.mark)
}

// Close makes every later Accept return [ErrClosed] and goes on delivering until
// nothing is left or ctx ends. Then it cancels what is under way, waits for that
// for a second, and calls handBack with what is left, if anything is. All calls of
// Close wait until that one call of handBack has returned.
func (e *Engine) Close(ctx context.Context, handBack func(Left)) {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.closing)
	}
	e.refuseWaiters()
	e.checkDrained()
	e.mu.Unlock()
	select {
	case <-e.exited:
	case <-ctx.Done():
		e.giveUp(context.Cause(ctx))
	}
	e.finish.Do(func() { e.handBack(handBack) })
}

// giveUp ends what the workers do.
func (e *Engine) giveUp(cause error) {
	e.mu.Lock()
	if !e.stopped {
		e.stopped, e.cause = true, cause
	}
	e.wakeAll()
	e.checkDrained()
	e.mu.Unlock()
	e.stop()
	select {
	case <-e.exited:
		return
	case <-time.After(grace):
	}
	e.mu.Lock()
	for w := range e.workers {
		if w.message != nil {
			w.behind = true
			e.behind = append(e.behind, w.message)
			delete(e.workers, w)
		}
	}
	e.checkDrained()
	e.mu.Unlock()
	<-e.exited // for reports of outcomes may go on
}

// handBack empties the queue when the workers have ended.
func (e *Engine) handBack(handBack func(Left)) {
	e.stop()
	e.mu.Lock()
	left := Left{Cause: e.cause, Behind: len(e.behind)}
	for m := e.lines.next(false); m != nil; m = e.lines.next(false) {
		e.lines.remove(m)
		left.Messages = append(left.Messages, m)
	}
	left.Messages = append(left.Messages, e.behind...)
	for _, m := range left.Messages {
		e.stats.Dropped += int64(m.records)
		e.release(m.Records(), m.bytes())
	}
	e.mu.Unlock()
	if len(left.Messages) == 0 {
		return
	}
	defer func() {
		for _, m := range left.Messages {
			e.settled(m)
		}
	}()
	handBack(left)
}

// checkDrained notes that a closed queue has nothing left, and that its workers
// have ended.
func (e *Engine) checkDrained() {
	if !e.closed || e.stats.Waiting > 0 && !e.stopped {
		return
	}
	e.wakeAll()
	if e.stats.Waiting == 0 {
		closeOnce(e.drained)
	}
	if len(e.workers) == 0 {
		closeOnce(e.exited)
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
