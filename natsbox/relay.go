package natsbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	// consumerName is that of the durable consumer that all relays share.
	consumerName = "relay"
	// maxUnderWay is how many messages are with the relays or wait to be tried
	// again, before the server hands out no others.
	maxUnderWay = 20_000
	// maxPulls is how many workers of all relays can ask for a message at once.
	maxPulls = 10_000
	// pullExpiry and pullHeartbeat say how soon a worker notices that the server
	// it asked for a message has died.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = time.Second
	// maxRetryAfter bounds how long a server can tell a message to wait.
	maxRetryAfter = 5 * time.Minute
	// maxHoldBack bounds how long a worker whose deliveries fail waits before it
	// takes another message.
	maxHoldBack = 30 * time.Second
	// answerTimeout bounds the wait for the server to confirm an acknowledgement.
	answerTimeout = 5 * time.Second
)

// Run is the relay: it takes messages from the stream, hands their records to
// next, and has the server remove a message only when next has taken all of them.
// Any number of relays may run, in one process or on many machines; the server
// hands each message to one of them. They share the durable consumer "relay",
// which Run creates if there is none; one with other settings is a
// [*SettingsError].
//
// Run delivers as many messages at once as [WithWorkers] says, in no particular
// order, and the records of each in theirs. While it works on a message it tells
// the server so; when it dies, or hangs with its process, the server hands the
// message to another after the time of [WithAckWait]. To a process that hangs, and
// to a machine that vanishes, it may hand messages for 30 seconds more, which then
// wait for that time too.
//
// A message that next could not deliver is given back to the server, which hands
// it out again after a wait that grows ([WithBackoff]); a worker whose deliveries
// fail holds back too, for up to 30 seconds, or for as long as the server asked
// (Retry-After), so that an outage is not answered with a storm. There is no last
// attempt.
//
// What can never be delivered is stored in the stream "<name>-DEAD", with the
// reason in the header Kissmetrics-Reason, before it is removed: records that next
// refuses ([kissmetrics.DeliveryError.Refused], or a [*kissmetrics.ValidationError]),
// and messages that are not of this package's format. It holds up nothing.
// [Sender.DeadLetters] lists it, [Sender.Requeue] puts it back. Where it cannot be
// stored, the message stays.
//
// Run goes on through the loss of servers. It returns nil when ctx has ended and
// its deliveries have, which get a context that ends with ctx; what is not
// delivered then is at once another relay's. Otherwise it returns why it cannot
// go on: the stream is gone, the connection was closed by its owner, or the
// settings are wrong.
func (s *Sender) Run(ctx context.Context, next kissmetrics.Sender) error {
	if next == nil {
		return fmt.Errorf("%w: Run: the next sender is nil", kissmetrics.ErrInvalidOption)
	}
	ctx, cancel := context.WithCancel(known(ctx))
	defer cancel()
	r := &relay{Sender: s, next: next, underWay: make(map[jetstream.Msg]struct{})}
	var workers, beat sync.WaitGroup
	var why error
	var once sync.Once
	for range s.config.workers {
		workers.Go(func() {
			if err := r.work(ctx); err != nil {
				once.Do(func() { why = err })
				cancel()
			}
		})
	}
	done := make(chan struct{})
	beat.Go(func() { r.beat(done) })
	workers.Wait()
	close(done)
	beat.Wait()
	return why
}

// A relay is one Run.
type relay struct {
	*Sender

	next kissmetrics.Sender

	mu       sync.Mutex
	underWay map[jetstream.Msg]struct{}
}

// beat tells the server of every message under way that it is worked on, until
// there are none.
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
			// Where it cannot be told, or the message was acknowledged just now, there
			// is nothing to do about it.
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
		_, wrong := errors.AsType[*SettingsError](err)
		if wrong || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("natsbox: the relay cannot go on: %w", err)
		}
		r.config.logger.WarnContext(ctx, "natsbox: the relay gets no messages", "reason", reason(err))
		sleep(ctx, backoff(failures+1, r.config.initialBackoff, min(r.config.maxBackoff, maxHoldBack)))
	}
	return nil
}

// open returns an iterator over messages, which asks for one at a time: a message
// that waited for its turn here would be none of another relay's.
func (r *relay) open(ctx context.Context) (jetstream.MessagesContext, error) {
	consumer, err := r.consumer(ctx)
	if err != nil {
		return nil, err
	}
	return consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(false))
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
	} else if err != nil {
		return nil, uncreatable(err)
	}
	if problems := r.config.consumerProblems(&consumer.CachedInfo().Config); len(problems) > 0 {
		return nil, &SettingsError{problems}
	}
	return consumer, nil
}

// uncreatable makes a settings' error of what the server says of a consumer that it
// will never create, such as where the stream has another.
func uncreatable(err error) error {
	failed, ok := errors.AsType[*jetstream.APIError](err)
	if !ok || failed.Code != http.StatusBadRequest || errors.Is(err, jetstream.ErrConsumerExists) { // created by another relay just now
		return err
	}
	return &SettingsError{[]string{"consumer " + consumerName + ": it cannot be created: " + failed.Description}}
}

// deliverAll delivers messages until ctx ends or there will be no more.
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
		sleep(ctx, max(wait, backoff(failures, r.config.initialBackoff, min(r.config.maxBackoff, maxHoldBack))))
	}
}

// deliver delivers one message, and tells the server what became of it. Where it
// could not be delivered, ok is false, and wait what the answer asked for.
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
		return 0, r.setAside(ctx, m, m.Headers().Get(formatHeader), m.Data(), safeText(err))
	}
	v := r.send(ctx, records)
	switch {
	case len(v.refused)+len(v.left) == 0:
		return 0, r.acknowledge(ctx, m)
	case len(v.left) == 0:
		message, cannot := encode(v.refused)
		if cannot != nil { // they were read from such a message
			message = &nats.Msg{Data: m.Data()}
		}
		return 0, r.setAside(ctx, m, formatVersion, message.Data, v.reason)
	case ctx.Err() != nil:
		r.giveBack(ctx, m, 0)
		return 0, false
	}
	again := max(v.wait, backoff(deliveries(m), r.config.initialBackoff, r.config.maxBackoff))
	r.config.logger.WarnContext(ctx, "natsbox: a delivery failed", "records", len(v.left), "retry_in", again, "reason", v.reason)
	r.giveBack(ctx, m, again)
	return v.wait, false
}

// A verdict is what the next sender made of records: which it refused for good,
// which are to be tried again, after what wait, and why.
type verdict struct {
	refused, left []kissmetrics.Record
	wait          time.Duration
	reason        string
}

// send hands records to the next sender. A panic is as good as an error, and so is
// that of an error which it returns, such as a nil pointer.
func (r *relay) send(ctx context.Context, records []kissmetrics.Record) (v verdict) {
	defer func() {
		if recover() != nil { // what it panics with may hold anything
			v = verdict{left: records, reason: "the next sender panicked"}
		}
	}()
	return judge(records, r.next.Send(ctx, records))
}

// judge says what an error of the next sender means.
func judge(records []kissmetrics.Record, err error) verdict {
	if err == nil {
		return verdict{}
	}
	v := verdict{reason: safeText(err)}
	delivery, isDelivery := errors.AsType[*kissmetrics.DeliveryError](err)
	if isDelivery {
		v.wait = min(delivery.RetryAfter, maxRetryAfter)
	}
	_, isValidation := errors.AsType[*kissmetrics.ValidationError](err)
	switch {
	case isDelivery && len(delivery.Delivered)+len(delivery.Refused)+len(delivery.Undelivered) == len(records):
		v.refused, v.left = delivery.Refused, delivery.Undelivered
	case isDelivery && !delivery.Retryable(), !isDelivery && isValidation:
		v.refused = records
	default:
		v.left = records
	}
	return v
}

// acknowledge has the server remove a message, and confirm that. Where it does
// not, the message may be delivered again.
func (r *relay) acknowledge(ctx context.Context, m jetstream.Msg) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	if err := m.DoubleAck(ctx); err != nil {
		r.config.logger.WarnContext(ctx, "natsbox: an acknowledgement was not confirmed", "reason", reason(err))
	}
	return true // as for the next sender
}

// setAside stores what can never be delivered where it can be seen, and then has
// the server remove the message.
func (r *relay) setAside(ctx context.Context, m jetstream.Msg, version string, data []byte, why string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	dead := &nats.Msg{Subject: r.config.deadSubject(), Data: data, Header: nats.Header{reasonHeader: {shortened(why)}}}
	if version != "" {
		dead.Header.Set(formatHeader, version)
	}
	if metadata, err := m.Metadata(); err == nil { // so that a second time does nothing
		dead.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s-%d-%d", metadata.Stream, metadata.Sequence.Stream, metadata.Timestamp.UnixNano()))
	}
	if _, err := r.publish(ctx, dead, r.config.deadStream()); err != nil {
		r.config.logger.ErrorContext(ctx, "natsbox: what can never be delivered could not be set aside", "reason", reason(err))
		r.giveBack(ctx, m, backoff(deliveries(m), r.config.initialBackoff, r.config.maxBackoff))
		return false
	}
	r.config.logger.WarnContext(ctx, "natsbox: records are set aside", "reason", why)
	if err := m.TermWithReason("set aside"); err != nil {
		r.config.logger.WarnContext(ctx, "natsbox: a termination was not sent", "reason", reason(err))
	}
	return true
}

// giveBack has the server hand out a message again, after a wait.
func (r *relay) giveBack(ctx context.Context, m jetstream.Msg, wait time.Duration) {
	if err := m.NakWithDelay(wait); err != nil { // then it does so after the time of WithAckWait
		r.config.logger.WarnContext(ctx, "natsbox: a message was not given back", "reason", reason(err))
	}
}

// giveBackRest ends an iterator, and gives back what came too late for it.
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

// backoff returns the wait after a number of failures: drawn evenly from zero to
// initial·2ⁿ⁻¹, or to limit where that is less.
func backoff(failures int, initial, limit time.Duration) time.Duration {
	most := limit
	if doublings := max(failures, 1) - 1; doublings < 62 && initial<<doublings>>doublings == initial {
		most = min(limit, initial<<doublings)
	}
	return rand.N(most) + 1 //nolint:gosec // spreads load
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}
