// Package natsbox carries records through [NATS JetStream], for those whose
// events outgrow one database: any number of machines send, any number relay,
// and a cluster of servers keeps what is in between.
//
//	js, err := jetstream.New(connection)
//	…
//	sender, err := natsbox.New(ctx, js, natsbox.WithSystemConn(system))
//	…
//	client, err := kissmetrics.New(kissmetrics.WithSender(sender)) // stores
//	…
//	err = sender.Run(ctx, httpSender) // relays, here or elsewhere
//
// # The promise
//
// What [Sender.Send] returned nil for is delivered at least once, or set aside
// where it can be seen ([Sender.Run]). That holds if
//
//   - the stream has 3 replicas, file storage, work-queue retention, and refuses
//     what is new when it reaches its limit of bytes; [CreateStreams] makes such
//     a one;
//   - every server has "sync_interval: always" in the block jetstream of its
//     configuration. With the default, two minutes, what was acknowledged can be
//     lost when machines lose power: see [the analysis of NATS 2.12.1] by Jepsen.
//
// [New] checks all of it and changes nothing; what is otherwise is a
// [*SettingsError]. What weakens the promise has to be said in the code:
// [WithReplicas] and [WithSyncUnchecked].
//
// Then it survives, without losing anything that was accepted:
//
//   - the crash of any process: a sender, a relay or a server;
//   - the loss of one of the three machines, disk and all: the other two go on,
//     after an election of a few seconds, for which Send waits;
//   - the crash of two machines or of all, power lost: Send fails until two are
//     back, then all goes on. Only disks that are gone on two machines take
//     records with them.
//
// A record can be delivered twice: when a relay ends, or a server, between the
// answer of Kissmetrics and the acknowledgement, and when another record of its
// message could not be delivered, for a message is tried again as a whole. That is
// harmless, for every record carries its own second, and Kissmetrics ignores an
// event whose person, name and second it has seen, and a property likewise
// (https://support.kissmetrics.io/reference/api-specifications-1).
//
// # What is stored
//
// All records of a message are one message of the stream: the import lines of
// [kissmetrics.Record.MarshalJSON], one a line, under a header that tells the
// version of that format. So they are stored together or not at all, stay in
// order, and need one acknowledgement. (An atomic batch of JetStream, one message
// a record, would not do: it is refused if one of its message ids was seen
// before, which is just what happens when a batch is sent again.) No API key is
// stored; the relay's sender has one.
//
// The message's id for JetStream's deduplication is a hash of what Kissmetrics
// goes by: of an event its person, name and second, whatever its properties; of
// properties their person, names and second, whatever their values; of an alias
// the two identities and its time, if any. A message is dropped as a duplicate only
// if that holds for all of its records, and while the first of the two still waits
// in the stream. So nothing is dropped that Kissmetrics would have kept: what was
// set aside has another chance when it is sent again.
//
// # The connection
//
// The connection is the caller's. By default nats.go takes four minutes to
// notice a server that hangs; for a Send that shall not fail meanwhile, connect
// with nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(2),
// nats.MaxReconnects(-1) and the addresses of all servers.
//
// [NATS JetStream]: https://docs.nats.io/nats-concepts/jetstream
// [the analysis of NATS 2.12.1]: https://jepsen.io/analyses/nats-2.12.1
package natsbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	// attemptTimeout bounds one attempt at storing a message. It is long for a
	// server that is well, and short for one that has died.
	attemptTimeout = time.Second
	// retryWait is the wait between attempts.
	retryWait = 100 * time.Millisecond
	// roomForReason is how many bytes a message may grow by when it is set aside.
	roomForReason = 1024
)

// ErrFull is returned by [Sender.Send] when the stream has reached its limit of
// bytes, or the servers theirs. Nothing of the message was stored. What is stored
// already is kept: it is never dropped to make room.
var ErrFull = errors.New("natsbox: the stream is full")

// A Sender is a [kissmetrics.Sender] that stores records in a stream, and the
// relay that delivers them from there. It is safe for concurrent use, starts no
// goroutine that outlives a call, and need not be closed.
type Sender struct {
	js     jetstream.JetStream
	config config
}

var _ kissmetrics.Sender = (*Sender)(nil)

// New returns a sender to a stream that exists, and checks that the stream and
// the servers have the settings that the promise of the package needs. It
// changes nothing. It needs [WithSystemConn] or [WithSyncUnchecked].
//
// The error wraps [kissmetrics.ErrInvalidOption], is a [*SettingsError] that
// lists all that is wrong, or is that of the server.
func New(ctx context.Context, js jetstream.JetStream, options ...Option) (*Sender, error) {
	c, err := configure(options)
	if js == nil {
		err = errors.Join(err, fmt.Errorf("%w: New: there is no JetStream", kissmetrics.ErrInvalidOption))
	}
	if c.system == nil && !c.syncUnchecked {
		err = errors.Join(err, fmt.Errorf("%w: New: whether the servers sync always can be seen by WithSystemConn only; "+
			"without it, say WithSyncUnchecked", kissmetrics.ErrInvalidOption))
	}
	if err != nil {
		return nil, err
	}
	s := &Sender{js: js, config: c}
	if err := s.check(known(ctx)); err != nil {
		return nil, err
	}
	return s, nil
}

// Send stores the records as one message, and returns nil when the server has
// acknowledged it: with the settings that New checks, when a majority of the
// replicas has it on disk. Meanwhile it tries again what may pass, such as an
// election, until ctx ends, but for no longer than [WithTimeout] says. An attempt
// of which nothing was heard may have stored the message; the next, and a later
// Send of the same records, then store nothing more as long as it waits.
//
// The error is that of the records' validation, also where the message is larger
// than the server takes (its max_payload, 1 MB by default, less 1 KB for the reason
// why it may be set aside); [ErrFull]; or one that wraps a
// [*kissmetrics.DeliveryError], all of whose records are undelivered.
func (s *Sender) Send(ctx context.Context, records []kissmetrics.Record) error {
	if len(records) == 0 {
		return nil
	}
	message, err := encode(records)
	if err != nil {
		return err
	}
	message.Subject = s.config.subject()
	callers := known(ctx)
	ctx, cancel := context.WithTimeout(callers, s.config.timeout)
	defer cancel()
	for attempts := 0; ; {
		err := ctx.Err()
		if err == nil {
			attempts++
			err = s.store(ctx, message)
		}
		switch {
		case err == nil:
			return nil
		case isFull(err):
			return ErrFull
		case isTooLarge(err):
			return &kissmetrics.ValidationError{Field: "message", Reason: fmt.Sprintf("takes %d bytes, more than the server allows", message.Size())}
		}
		if ctx.Err() == nil && mayPass(err) {
			select {
			case <-time.After(retryWait):
				continue
			case <-ctx.Done():
			}
		}
		failure := &kissmetrics.DeliveryError{
			Kind: kissmetrics.FailureUnavailable, Attempts: attempts, Undelivered: slices.Clone(records), Err: err,
		}
		if callers.Err() != nil {
			failure.Kind, failure.Err = kissmetrics.FailureCanceled, callers.Err()
		}
		return fmt.Errorf("natsbox: %s: %w", reason(err), failure)
	}
}

// store makes one attempt at storing a message of records. One that is a repeat of
// a message which waits no more, being delivered or set aside, is stored under
// another id, which it keeps.
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
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return s.js.PublishMsg(ctx, message, jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
}

// waits reports whether it is known that a message is still in the stream.
func (s *Sender) waits(ctx context.Context, sequence uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.config.stream)
	if err != nil {
		return false
	}
	_, err = stream.GetMsg(ctx, sequence)
	return err == nil
}

// Codes of the server's errors: https://github.com/nats-io/nats-server/blob/main/server/errors.json.
const (
	codeAccountResources  jetstream.ErrorCode = 10002
	codeServerResources   jetstream.ErrorCode = 10023
	codeStorageResources  jetstream.ErrorCode = 10047
	codeMessageTooLarge   jetstream.ErrorCode = 10054
	codeWrongStream       jetstream.ErrorCode = 10060
	codeStreamStoreFailed jetstream.ErrorCode = 10077
)

// isFull reports whether there is no room for a message.
func isFull(err error) bool {
	failed, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	switch failed.ErrorCode {
	case codeAccountResources, codeServerResources, codeStorageResources:
		return true
	case codeStreamStoreFailed: // with a text that says why
		return strings.HasPrefix(failed.Description, "maximum ") && strings.HasSuffix(failed.Description, " exceeded")
	}
	return false
}

// isTooLarge reports whether a message is one that the server will never take.
func isTooLarge(err error) bool {
	failed, ok := errors.AsType[*jetstream.APIError](err)
	return errors.Is(err, nats.ErrMaxPayload) || ok && failed.ErrorCode == codeMessageTooLarge
}

// mayPass reports whether to try again what failed. A connection that was closed
// stays closed, and what another stream takes is not for us.
func mayPass(err error) bool {
	failed, ok := errors.AsType[*jetstream.APIError](err)
	return !errors.Is(err, nats.ErrConnectionClosed) && (!ok || failed.ErrorCode != codeWrongStream)
}

// known returns a context where the caller has none.
func known(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// reason says why something failed, in words of the server or of nats.go, which
// know nothing of what records hold.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer from the server"
	}
	return err.Error()
}
