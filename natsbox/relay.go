package natsbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
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
	// maxReopen bounds the waits between looking for a consumer that is lost.
	maxReopen = 2 * time.Second
	// warnEvery bounds how often a relay logs that it gets no messages.
	warnEvery = 10 * time.Second
	// maxRetryAfter bounds how long an answer can make a message wait.
	maxRetryAfter = 5 * time.Minute
	// maxHoldBack bounds how long a worker whose deliveries fail waits before it
	// takes another message.
	maxHoldBack = 30 * time.Second
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
// Run delivers as many messages at once as [WithWorkers] says, in no particular
// order; the records of one message are delivered in order. While it works on a
// message it tells the server so. If it dies, or hangs with its process, the
// server hands the message to another relay after the time of [WithAckWait]. The
// server may hand messages to a process that hangs, or to a machine that has
// vanished, for 30 more seconds; those then wait for the same time.
//
// A message that next could not deliver goes back to the server, which hands it
// out again after a wait that grows ([WithBackoff]). A worker whose deliveries
// fail holds back too, for up to 30 seconds, or for as long as the answer asked
// (Retry-After), so that an outage is not answered with a storm. No attempt is the
// last.
//
// Records that can never be delivered are parked: stored in the stream
// "<name>-PARKED", with the reason in the header Kissmetrics-Reason, before their
// message is removed. These are the records that next refuses
// ([kissmetrics.Settle] says which), and messages that are not in this package's
// format. Parking delays nothing else. [Sender.Parked] lists parked messages,
// [Sender.Requeue] puts them back. If a message cannot be parked, it stays.
//
// Run survives the loss of connections, servers and leaders. If its consumer is
// lost, it creates a new one within seconds. It returns nil when ctx has ended or
// [Sender.Close] was called, and its deliveries have ended, whose context ends at
// the same time; what is undelivered then is handed to another relay at once.
// Otherwise it returns why it cannot go on: the stream is gone, the connection was
// closed by its owner, or the settings are wrong.
func (s *Sender) Run(ctx context.Context, next kissmetrics.Sender) error {
	if nilness.IsNil(next) {
		return fmt.Errorf("%w: Run: the next sender is nil", kissmetrics.ErrInvalidOption)
	}
	ctx, end, ok := s.lifetime.Begin(known(ctx))
	if !ok {
		return kissmetrics.ErrClosed
	}
	defer end()
	return newRelay(s, next).run(ctx)
}

// A relay is one Run.
type relay struct {
	*Sender

	next kissmetrics.Sender

	mu       sync.Mutex
	underWay map[jetstream.Msg]struct{}
	warned   time.Time // when it was last logged that there are no messages
}

func newRelay(s *Sender, next kissmetrics.Sender) *relay {
	return &relay{Sender: s, next: next, underWay: make(map[jetstream.Msg]struct{})}
}

// run runs the workers until ctx ends, or one of them cannot go on.
func (r *relay) run(ctx context.Context) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers, beat sync.WaitGroup
	for range r.config.workers {
		workers.Go(func() {
			if err := r.work(running); err != nil {
				stop(err)
			}
		})
	}
	done := make(chan struct{})
	beat.Go(func() { r.beat(done) })
	workers.Wait()
	close(done)
	beat.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
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

// work delivers one message after another until ctx ends, and returns why it
// cannot go on.
func (r *relay) work(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; failures++ {
		messages, err := r.open(ctx)
		if err == nil {
			err = r.deliverAll(ctx, messages, func() { failures = 0 })
			r.giveBackRest(ctx, messages)
		}
		if ctx.Err() != nil {
			break
		}
		if isFinal(err) {
			return fmt.Errorf("natsbox: the relay cannot go on: %w", err)
		}
		r.warn(ctx, err)
		sleep(ctx, retry.Wait(failures+1, r.config.initialBackoff, min(r.config.maxBackoff, maxReopen)))
	}
	return nil
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
		r.config.logger.WarnContext(ctx, "natsbox: the relay gets no messages", "reason", reason(err))
	}
}

// open returns an iterator over messages. It asks for one at a time, because a
// message that waited here for its turn would be out of reach of other relays.
//
// The iterator ends when the server gives no sign of life. Without that, nats.go
// would go on asking a consumer that is gone if it vanished while the connection
// was down.
func (r *relay) open(ctx context.Context) (jetstream.MessagesContext, error) {
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
		consumer, err = r.js.CreateConsumer(ctx, r.config.stream, jetstream.ConsumerConfig{
			Durable:       consumerName,
			Description:   "Relays to Kissmetrics",
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       r.config.ackWait,
			MaxDeliver:    -1,
			MaxAckPending: maxUnderWay,
			MaxWaiting:    maxPulls,
		})
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

// deliverAll delivers messages until ctx ends or the iterator does.
func (r *relay) deliverAll(ctx context.Context, messages jetstream.MessagesContext, wentWell func()) error {
	for failures := 0; ; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		wentWell()
		wait, ok := r.deliver(ctx, m)
		if ok {
			failures = 0
			continue
		}
		failures++
		sleep(ctx, max(wait, retry.Wait(failures, r.config.initialBackoff, min(r.config.maxBackoff, maxHoldBack))))
	}
}

// deliver delivers one message, and tells the server what became of it. If it
// could not be delivered, ok is false, and wait is what the answer asked for.
func (r *relay) deliver(ctx context.Context, m jetstream.Msg) (wait time.Duration, ok bool) {
	r.mu.Lock()
	r.underWay[m] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.underWay, m)
	}()
	records, err := decode(m.Headers(), m.Data())
	if err != nil {
		return 0, r.park(ctx, m, m.Headers().Get(formatHeader), m.Data(), kissmetrics.Settle(nil, err).Reason)
	}
	outcome := r.send(ctx, records)
	switch {
	case len(outcome.Refused)+len(outcome.Undelivered) == 0:
		return 0, r.acknowledge(ctx, m)
	case len(outcome.Undelivered) == 0:
		message, cannot := encode(outcome.Refused)
		if cannot != nil { // they are not the records that were sent
			message = &nats.Msg{Data: m.Data()}
		}
		return 0, r.park(ctx, m, formatVersion, message.Data, outcome.Reason)
	case ctx.Err() != nil:
		r.giveBack(ctx, m, 0)
		return 0, false
	}
	wait = min(outcome.RetryAfter, maxRetryAfter)
	again := max(wait, retry.Wait(deliveries(m), r.config.initialBackoff, r.config.maxBackoff))
	r.config.logger.WarnContext(ctx, "natsbox: a delivery failed",
		"records", len(outcome.Undelivered), "retry_in", again, "reason", outcome.Reason)
	r.giveBack(ctx, m, again)
	return wait, false
}

// send hands records to the next sender and settles what became of them. A panic
// leaves them undelivered; so does one of the error that it returned, such as a
// nil pointer.
func (r *relay) send(ctx context.Context, records []kissmetrics.Record) (outcome kissmetrics.Outcome) {
	defer func() {
		if recover() != nil { // the value may hold anything
			outcome = kissmetrics.Outcome{Undelivered: records, Reason: "the next sender panicked"}
		}
	}()
	return kissmetrics.Settle(records, r.next.Send(ctx, records))
}

// acknowledge has the server remove a message and confirm that. Without the
// confirmation, the message may be delivered again.
func (r *relay) acknowledge(ctx context.Context, m jetstream.Msg) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	if err := m.DoubleAck(ctx); err != nil {
		r.config.logger.WarnContext(ctx, "natsbox: an acknowledgement was not confirmed", "reason", reason(err))
	}
	return true // the next sender has taken it
}

// park stores what can never be delivered in the stream of parked messages, and
// then has the server remove the message.
func (r *relay) park(ctx context.Context, m jetstream.Msg, version string, data []byte, why string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	parked := &nats.Msg{Subject: r.config.parkedSubject(), Data: data, Header: nats.Header{reasonHeader: {shortened(why)}}}
	if version != "" {
		parked.Header.Set(formatHeader, version)
	}
	if metadata, err := m.Metadata(); err == nil { // so that a second time does nothing
		parked.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s-%d-%d", metadata.Stream, metadata.Sequence.Stream, metadata.Timestamp.UnixNano()))
	}
	if _, err := r.publish(ctx, parked, r.config.parkedStream()); err != nil {
		r.config.logger.ErrorContext(ctx, "natsbox: a message could not be parked", "reason", reason(err))
		r.giveBack(ctx, m, retry.Wait(deliveries(m), r.config.initialBackoff, r.config.maxBackoff))
		return false
	}
	r.config.logger.WarnContext(ctx, "natsbox: a message was parked", "reason", why)
	if err := m.TermWithReason("parked"); err != nil {
		r.config.logger.WarnContext(ctx, "natsbox: a termination was not sent", "reason", reason(err))
	}
	return true
}

// giveBack has the server hand out a message again after a wait.
func (r *relay) giveBack(ctx context.Context, m jetstream.Msg, wait time.Duration) {
	if err := m.NakWithDelay(wait); err != nil { // then the server does so after the time of WithAckWait
		r.config.logger.WarnContext(ctx, "natsbox: a message was not given back", "reason", reason(err))
	}
}

// giveBackRest ends an iterator, and gives back messages that came too late for it.
func (r *relay) giveBackRest(ctx context.Context, messages jetstream.MessagesContext) {
	defer messages.Stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	messages.Drain()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return
		}
		r.giveBack(ctx, m, 0)
	}
}

// deliveries returns how often the server has handed out a message.
func deliveries(m jetstream.Msg) int {
	metadata, err := m.Metadata()
	if err != nil {
		return 1
	}
	return int(min(metadata.NumDelivered, 64)) //nolint:gosec // at most 64
}
