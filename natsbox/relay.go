package natsbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/attempt"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
	"github.com/kissmetrics-go/kissmetrics/limit"
)

const (
	// consumerName is that of the durable consumer that all relays share.
	consumerName = "relay"
	// maxUnderWay is how many messages the relays may have, or wait to try again,
	// before the server hands out no others.
	maxUnderWay = 20_000
	// maxPulls is how many workers of all relays can ask for a message at once.
	maxPulls = 10_000
	// pullExpiry is how long one request for a message lasts. pullHeartbeat is how
	// often the server then gives a sign of life: when two are missing, the worker
	// looks whether the server, the stream and the consumer are still there.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = time.Second
	// few is how many workers a relay has at least, as far as WithWorkers allows.
	few = 4
	// leaveAfter is when a worker that waits in vain looks whether it may go.
	leaveAfter = 5 * time.Second
	// maxReopen bounds the waits between looking for a consumer that is lost.
	maxReopen = 2 * time.Second
	// warnEvery bounds how often a relay logs that it gets no messages.
	warnEvery = 10 * time.Second
	// maxRetryAfter bounds how long an answer can make a message wait.
	maxRetryAfter = 5 * time.Minute
	// maxHoldBack bounds how long a worker whose deliveries fail waits before it
	// takes another message.
	maxHoldBack = 30 * time.Second
	// triedOften is how often a message is handed out before it counts that it is old.
	// After days without a relay, or with no network, the first answer of a captive
	// portal would otherwise park all that waits.
	triedOften = 50
	// answerTimeout bounds the wait for the server to confirm an acknowledgement.
	answerTimeout = 5 * time.Second
)

// Run is the relay: it takes messages from the stream, hands their records to
// next, and lets the server remove a message only when next has taken all of them.
// Any number of relays may run, in one process or on many machines; the server
// hands each message to one of them. They share the durable consumer "relay",
// which Run creates if it is missing. If it exists with other settings, the error
// is a [*SettingsError].
//
// Run delivers many messages at once, in no particular order; the records of one
// message are delivered in order. It finds out how many by the rule of a
// [limit.Limiter], up to what [WithWorkers] says. While it works on a message it
// tells the server so. If it dies, or hangs with its process, the
// server hands the message to another relay after the time of [WithAckWait]. The
// server may hand messages to a process that hangs, or to a machine that has
// vanished, for 30 more seconds; those then wait for the same time.
//
// A message that next could not deliver, of which a [kissmetrics.HTTPSender] tries
// each record once, goes back to the server, which hands it out again after a wait
// that grows ([WithBackoff]). A worker whose deliveries
// fail holds back too, for up to 30 seconds, or for as long as the answer asked
// (Retry-After), so that an outage is not answered with a storm. No attempt is the
// last.
//
// Records that can never be delivered are parked: stored in the stream
// "<name>-PARKED", with the reason in the header Kissmetrics-Reason, before their
// message is removed. These are the records that next refuses for good
// ([kissmetrics.Settle] says which), those that something on the way still refuses
// a day after they were stored ([kissmetrics.Outcome.Aged]) and when their message was
// handed out 50 times, and messages that are not in this package's format. Parking
// delays nothing else. [Sender.Parked] lists parked messages, [Sender.Requeue] puts
// them back. If a message cannot be parked, it stays.
//
// Run survives the loss of connections, servers and leaders. If its consumer is
// lost, it creates a new one within seconds. If somebody changes the settings of the
// consumer, so that it does not hand out everything, Run notices within seconds and
// returns a [*SettingsError]; if somebody changes those of the stream, it logs that
// and goes on. It returns nil when ctx has ended or
// [Sender.Close] was called, and its deliveries have ended, whose context ends at
// the same time; what is undelivered then is handed to another relay at once.
// Otherwise it returns why it cannot go on: the stream is gone, the connection was
// closed by its owner, or the settings are wrong.
func (s *Sender) Run(ctx context.Context, next kissmetrics.Sender) error {
	if nilness.IsNil(next) {
		return fmt.Errorf("%w: Run: the next sender is nil", kissmetrics.ErrInvalidOption)
	}
	ctx, end, ok := s.lifetime.Begin(nilness.Context(ctx))
	if !ok {
		return kissmetrics.ErrClosed
	}
	defer end()
	return newRelay(s, next).run(ctx)
}

// A relay is one Run.
//
// Its workers each wait for a message, deliver it, and wait for the next. A few of
// them are always there. More come while all are busy and the limiter lets more be
// under way, and go when there is nothing for them to do.
type relay struct {
	*Sender

	next    kissmetrics.Sender
	limiter *limit.Limiter
	open    func(ctx context.Context) (jetstream.MessagesContext, error)
	look    func(ctx context.Context) (stream []string, err error)
	running sync.WaitGroup // the workers
	passed  uint64         // the first message that was passed over at the last look

	mu       sync.Mutex
	workers  int
	idle     int // how many of them wait for a message
	underWay map[jetstream.Msg]struct{}
	warned   time.Time // when it was last logged that there are no messages
}

func newRelay(s *Sender, next kissmetrics.Sender) *relay {
	r := &relay{Sender: s, next: attempt.By(next), limiter: limit.New(s.config.workers), underWay: make(map[jetstream.Msg]struct{})}
	r.open, r.look = r.openIterator, r.lookAtSettings
	return r
}

// run runs the workers until ctx ends, or one of them cannot go on.
func (r *relay) run(ctx context.Context) error {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.workers = min(few, r.config.workers) // before any of them looks
	for range r.workers {
		r.start(working, stop)
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { r.beat(done) })
	others.Go(func() { r.watch(working, stop, done) })
	r.running.Wait()
	close(done)
	others.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(working)
}

// start starts a worker, which is counted already. If the next sender ends its
// goroutine, another takes its place.
func (r *relay) start(ctx context.Context, stop context.CancelCauseFunc) {
	r.running.Go(func() {
		ended := true
		defer func() {
			if ended {
				r.start(ctx, stop)
			}
		}()
		err := r.work(ctx, func() { r.start(ctx, stop) })
		ended = false
		if err != nil {
			stop(err)
		}
	})
}

// wait notes that a worker waits for a message.
func (r *relay) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle++
}

// busy notes that a worker waits no more. It reports whether another should be
// started in its place, and counts that one.
func (r *relay) busy() (another bool) {
	most := min(r.limiter.Limit()+few, r.config.workers)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle--
	if r.idle > 0 || r.workers >= most {
		return false
	}
	r.workers++
	return true
}

// superfluous reports whether a worker that waits in vain may go, and counts it no
// more if so.
func (r *relay) superfluous() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle < few || r.workers <= few {
		return false
	}
	r.workers--
	return true
}

// beat tells the server of every message under way that it is worked on, until
// done is closed.
func (r *relay) beat(done <-chan struct{}) {
	ticker := time.NewTicker(r.config.ackWait / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-done:
			return
		}
		r.mu.Lock()
		messages := make([]jetstream.Msg, 0, len(r.underWay))
		for m := range r.underWay {
			messages = append(messages, m)
		}
		r.mu.Unlock()
		for _, m := range messages {
			// An error means that the server cannot be told, or that the message was
			// acknowledged just now. Neither can be helped here.
			_ = m.InProgress()
		}
	}
}

// work delivers one message after another until ctx ends or the worker is
// superfluous, and returns why it cannot go on. It calls another to start another
// worker.
func (r *relay) work(ctx context.Context, another func()) error {
	for failures := 0; ctx.Err() == nil; failures++ {
		err := r.session(ctx, func(more bool) {
			failures = 0
			if more {
				another()
			}
		})
		if ctx.Err() != nil || errors.Is(err, errSuperfluous) {
			break
		}
		if isFinal(err) {
			return r.stopped(err)
		}
		r.warn(ctx, err)
		sleep(ctx, retry.Wait(failures+1, r.config.initialBackoff, min(r.config.maxBackoff, maxReopen)))
	}
	return nil
}

// session opens an iterator and delivers its messages.
func (r *relay) session(ctx context.Context, got func(another bool)) error {
	messages, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer r.giveBackRest(ctx, messages)
	return r.deliverAll(ctx, messages, got)
}

// warn logs that a worker gets no messages, once for all workers.
func (r *relay) warn(ctx context.Context, err error) {
	r.mu.Lock()
	recent := !r.warned.IsZero() && time.Since(r.warned) < warnEvery
	if !recent {
		r.warned = time.Now()
	}
	r.mu.Unlock()
	if !recent {
		r.config.logger.WarnContext(ctx, "natsbox: the relay gets no messages", "reason", r.reason(err))
	}
}

// openIterator returns an iterator over messages. It asks for one at a time, because a
// message that waited here for its turn would be out of reach of other relays.
//
// The iterator ends when the server gives no sign of life. Without that, nats.go
// would go on asking a consumer that is gone if it vanished while the connection
// was down.
func (r *relay) openIterator(ctx context.Context) (jetstream.MessagesContext, error) {
	consumer, err := r.consumer(ctx)
	if err != nil {
		return nil, err
	}
	return consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
}

// consumer returns the consumer that all relays share.
func (r *relay) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout) // a server that dies answers nothing
	defer cancel()
	consumer, err := r.js.Consumer(ctx, r.config.stream, consumerName)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		// Another relay may do the same at the same time, with the same result.
		consumer, err = r.js.CreateConsumer(ctx, r.config.stream, r.config.consumer())
	}
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		return nil, &SettingsError{[]string{"consumer " + consumerName + ": it pushes"}}
	}
	if description, wrong := isWrongConsumer(err); wrong {
		return nil, &SettingsError{[]string{"consumer " + consumerName + ": it cannot be created: " + description}}
	}
	if err != nil {
		return nil, err
	}
	if problems := r.config.consumerProblems(&consumer.CachedInfo().Config); len(problems) > 0 {
		return nil, &SettingsError{problems}
	}
	return consumer, nil
}

// errSuperfluous ends a worker that has nothing to do.
var errSuperfluous = errors.New("natsbox: there are workers enough")

// deliverAll delivers messages until ctx ends, the iterator does, or the worker is
// superfluous. For each message it calls got, with whether another worker should be
// started.
func (r *relay) deliverAll(ctx context.Context, messages jetstream.MessagesContext, got func(another bool)) error {
	for failures := 0; ; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m, err := r.take(ctx, messages, got)
		switch {
		case err != nil:
			return err
		case m == nil:
			continue
		}
		wait, ok := r.deliver(ctx, m)
		if ok {
			failures = 0
			continue
		}
		failures++
		sleep(ctx, max(wait, retry.Wait(failures, r.config.initialBackoff, min(r.config.maxBackoff, maxHoldBack))))
	}
}

// take waits for a message. After a while without any it returns nil, or
// errSuperfluous.
func (r *relay) take(ctx context.Context, messages jetstream.MessagesContext, got func(another bool)) (jetstream.Msg, error) {
	waiting, cancel := context.WithTimeout(ctx, leaveAfter)
	defer cancel()
	r.wait()
	m, err := messages.Next(jetstream.NextContext(waiting))
	inVain := err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded)
	if inVain && r.superfluous() {
		err = errSuperfluous
	}
	another := r.busy() && err == nil
	if err == nil {
		got(another)
	}
	if inVain && !errors.Is(err, errSuperfluous) {
		return nil, nil //nolint:nilnil // says that there is none
	}
	return m, err
}
