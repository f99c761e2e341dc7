package natsbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/lifetime"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

const (
	// retryWait is the wait between attempts.
	retryWait = 100 * time.Millisecond
	// roomForReason is how many bytes a message may grow by when it is parked.
	roomForReason = 1024
	// flushPoll is how often Flush asks the server.
	flushPoll = 50 * time.Millisecond
)

// ErrFull is returned by [Sender.Send] when the stream has reached its limit of
// bytes, or the servers theirs. Nothing of the message was stored. Stored messages
// are never dropped to make room.
var ErrFull = errors.New("natsbox: the stream is full")

// A Sender is a [kissmetrics.Sender] that stores records in a stream, and the
// relay that delivers them from there. It is safe for concurrent use. It starts no
// goroutine that outlives a call.
type Sender struct {
	js       jetstream.JetStream
	config   config
	lifetime *lifetime.Lifetime
	domain   atomic.Pointer[string] // JetStream's, of the stream; nil if not known yet
}

var (
	_ kissmetrics.Sender  = (*Sender)(nil)
	_ kissmetrics.Flusher = (*Sender)(nil)
)

// New returns a sender to a stream that exists. It checks that the stream and the
// servers have the settings that the promise of the package needs, and changes
// nothing. It needs [WithSystemConn] or [WithSyncUnchecked].
//
// The error wraps [kissmetrics.ErrInvalidOption], is a [*SettingsError] that
// lists every wrong setting, or is the server's.
func New(ctx context.Context, js jetstream.JetStream, options ...Option) (*Sender, error) {
	c, err := configure(options)
	if nilness.IsNil(js) {
		err = errors.Join(err, fmt.Errorf("%w: New: the JetStream is nil", kissmetrics.ErrInvalidOption))
	}
	if c.system == nil && !c.syncUnchecked {
		err = errors.Join(err, fmt.Errorf("%w: New: only WithSystemConn can show whether the servers always sync; "+
			"without it, say WithSyncUnchecked", kissmetrics.ErrInvalidOption))
	}
	if err != nil {
		return nil, err
	}
	s := &Sender{js: js, config: c, lifetime: lifetime.New()}
	if err := s.check(nilness.Context(ctx)); err != nil {
		return nil, err
	}
	return s, nil
}

// Send stores the records as one message, and returns nil when the server has
// acknowledged it: with the settings that New checks, when a majority of the
// replicas has it on disk. Until then it tries again after failures that may pass,
// such as an election, until ctx ends or the time of [WithTimeout] is up. An
// attempt that got no answer may have stored the message; then the next attempt,
// and a later Send of the same records, store nothing more while it waits, as long as
// the stream knows repeats (its duplicate_window, two minutes by default).
//
// The error is the records' validation error, also if the message is larger than
// the server takes (its max_payload, 1 MB by default, less 1 KB for the reason
// why it may be parked); [ErrFull]; [kissmetrics.ErrClosed]; or one that wraps a
// [*kissmetrics.DeliveryError] in which all records are undelivered. That one wraps
// a [*SettingsError] if a stream of the same name in another JetStream domain has
// answered instead.
func (s *Sender) Send(ctx context.Context, records []kissmetrics.Record) error {
	if err := s.isClosed(); err != nil || len(records) == 0 {
		return err
	}
	message, err := encode(records)
	if err != nil {
		return err
	}
	message.Subject = s.config.subject(len(records))
	callers := nilness.Context(ctx)
	ctx, cancel := context.WithTimeout(callers, s.config.timeout)
	defer cancel()
	attempts, err := s.storeUntil(ctx, message)
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return ErrFull
	case isTooLarge(err):
		return &kissmetrics.ValidationError{Field: "message", Reason: fmt.Sprintf("takes %d bytes, more than the server allows", message.Size())}
	}
	failure := &kissmetrics.DeliveryError{
		Kind: kissmetrics.FailureUnavailable, Attempts: attempts, Undelivered: slices.Clone(records), Reason: "natsbox: " + s.reason(err), Err: s.explained(err),
	}
	if callers.Err() != nil {
		failure.Kind, failure.Err = kissmetrics.FailureCanceled, callers.Err()
	}
	return failure
}

// storeUntil tries to store a message until that succeeds, can never succeed, or
// ctx ends. It returns the number of attempts and the last error that says something.
func (s *Sender) storeUntil(ctx context.Context, message *nats.Msg) (attempts int, err error) {
	for {
		if ctx.Err() != nil {
			return attempts, cmp.Or(err, ctx.Err())
		}
		attempts++
		latest := s.store(ctx, message)
		if latest == nil || err == nil || ctx.Err() == nil { // or else it was cut off
			err = latest
		}
		if err == nil || isFull(err) || isTooLarge(err) || !mayPass(err) {
			return attempts, err
		}
		sleep(ctx, retryWait)
	}
}

// store makes one attempt at storing a message of records. If it repeats a message
// that no longer waits, because it was delivered or parked, it is stored under a
// new id, which it keeps.
func (s *Sender) store(ctx context.Context, message *nats.Msg) error {
	if most := s.js.Conn().MaxPayload(); most > 0 && int64(message.Size()+roomForReason) > most {
		return nats.ErrMaxPayload
	}
	ack, err := s.publish(ctx, message, s.config.stream)
	if err != nil || !ack.Duplicate || s.waits(ctx, ack.Sequence) {
		return err
	}
	message.Header.Set(jetstream.MsgIDHeader, rand.Text())
	_, err = s.publish(ctx, message, s.config.stream)
	return err
}

// publish makes one attempt at storing a message in the named stream.
func (s *Sender) publish(ctx context.Context, message *nats.Msg, stream string) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.attemptTimeout)
	defer cancel()
	ack, err := s.js.PublishMsg(ctx, message, jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
	if err != nil {
		return nil, err
	}
	return ack, s.checkDomain(ctx, ack)
}

// waits reports whether a message is known to be still in the stream.
func (s *Sender) waits(ctx context.Context, sequence uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, s.config.attemptTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.config.stream)
	if err != nil {
		return false
	}
	_, err = stream.GetMsg(ctx, sequence)
	return err == nil
}

// Flush waits until everything that was stored before has its outcome: delivered
// or parked. That takes a [Sender.Run], here or elsewhere. The error is that of
// ctx, [kissmetrics.ErrClosed], or the server's.
func (s *Sender) Flush(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	var last uint64
	for asked := false; ; asked = true {
		if err := s.isClosed(); err != nil {
			return err
		}
		state, err := s.state(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case !asked:
			last = state.LastSeq
		}
		if state.Msgs == 0 || state.FirstSeq > last {
			return nil
		}
		select {
		case <-time.After(flushPoll):
		case <-s.lifetime.Closed():
		case <-ctx.Done():
		}
	}
}

// state asks the server what is in the stream.
func (s *Sender) state(ctx context.Context) (jetstream.StreamState, error) {
	stream, err := s.js.Stream(ctx, s.config.stream)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("natsbox: the stream %s: %w", s.config.stream, s.explained(err))
	}
	return stream.CachedInfo().State, nil
}

// Close ends every [Sender.Run] of this sender and waits until they have returned,
// or until ctx ends, whose error it then returns. Later calls of every other
// method return [kissmetrics.ErrClosed]. The connection is the caller's, and stays
// open.
func (s *Sender) Close(ctx context.Context) error { return s.lifetime.Close(nilness.Context(ctx)) }

// isClosed returns an error if the sender is closed.
func (s *Sender) isClosed() error {
	if s.lifetime.IsClosed() {
		return kissmetrics.ErrClosed
	}
	return nil
}

// sleep waits for a time, or until ctx ends.
func sleep(ctx context.Context, wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}
