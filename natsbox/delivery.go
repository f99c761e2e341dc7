package natsbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

// errHeadersOnly says that somebody has changed the consumer, and that the records
// are still in the stream.
var errHeadersOnly = errors.New("the consumer hands out headers only")

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
	if m.Headers().Get(nats.MsgSize) != "" { // the server adds that where it leaves out the records
		r.warn(ctx, errHeadersOnly)
		r.giveBack(ctx, m, watchEvery)
		return 0, false
	}
	records, err := decode(m.Headers(), m.Data())
	if err != nil {
		return 0, r.park(ctx, m, m.Headers().Get(formatHeader), m.Data(), kissmetrics.Settle(nil, err).Reason)
	}
	outcome, err := r.send(ctx, records)
	if err != nil { // ctx has ended
		r.giveBack(ctx, m, 0)
		return 0, false
	}
	outcome = outcome.Aged(age(m))
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

// send hands records to the next sender, as soon as one more message may be under
// way, and settles what became of them. The error is that of ctx, if it has ended
// before.
func (r *relay) send(ctx context.Context, records []kissmetrics.Record) (kissmetrics.Outcome, error) {
	release, err := r.limiter.Acquire(ctx, records)
	if err != nil {
		return kissmetrics.Outcome{}, err
	}
	err = kissmetrics.ErrSenderPanicked // or ended the goroutine
	defer func() { release(err) }()
	err = r.next.Send(ctx, records)
	return kissmetrics.Settle(records, err), nil
}

// acknowledge has the server remove a message and confirm that. Without the
// confirmation, the message may be delivered again.
func (r *relay) acknowledge(ctx context.Context, m jetstream.Msg) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	if err := m.DoubleAck(ctx); err != nil {
		r.config.logger.WarnContext(ctx, "natsbox: an acknowledgement was not confirmed", "reason", r.reason(err))
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
		r.config.logger.ErrorContext(ctx, "natsbox: a message could not be parked", "reason", r.reason(err))
		r.giveBack(ctx, m, retry.Wait(deliveries(m), r.config.initialBackoff, r.config.maxBackoff))
		return false
	}
	r.config.logger.WarnContext(ctx, "natsbox: a message was parked", "reason", why)
	if err := m.TermWithReason("parked"); err != nil {
		r.config.logger.WarnContext(ctx, "natsbox: a termination was not sent", "reason", r.reason(err))
	}
	return true
}

// giveBack has the server hand out a message again after a wait.
func (r *relay) giveBack(ctx context.Context, m jetstream.Msg, wait time.Duration) {
	if err := m.NakWithDelay(wait); err != nil { // then the server does so after the time of WithAckWait
		r.config.logger.WarnContext(ctx, "natsbox: a message was not given back", "reason", r.reason(err))
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

// age returns for how long a message has been tried: since it was stored, if it was
// handed out often. If not, it may have waited for a relay all that time.
func age(m jetstream.Msg) time.Duration {
	metadata, err := m.Metadata()
	if err != nil || metadata.NumDelivered < triedOften {
		return 0
	}
	return time.Since(metadata.Timestamp)
}

// deliveries returns how often the server has handed out a message.
func deliveries(m jetstream.Msg) int {
	metadata, err := m.Metadata()
	if err != nil {
		return 1
	}
	return int(min(metadata.NumDelivered, 64)) //nolint:gosec // at most 64
}
