package natsbox

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
)

// A DeadLetter is what was set aside because it can never be delivered; see
// [Sender.Run].
type DeadLetter struct {
	// Sequence is its number in the stream "<name>-DEAD", for Requeue and Delete.
	Sequence uint64
	// Time is when it was set aside, by the server's clock.
	Time time.Time
	// Reason says why. It holds neither identities nor values.
	Reason string
	// Records are those that were refused. There are none where the message could
	// not be read; it is in the stream as it was.
	Records []kissmetrics.Record
}

// DeadLetters returns what is set aside when it begins, the oldest first: a letter
// that is set aside again while it goes on is not among them. An error is the last
// thing it yields.
func (s *Sender) DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		ctx := known(ctx)
		dead, err := s.deadLetters(ctx)
		if err != nil {
			yield(DeadLetter{}, err)
			return
		}
		state := dead.CachedInfo().State
		for next := state.FirstSeq; next <= state.LastSeq; next++ {
			m, err := dead.GetMsg(ctx, next, jetstream.WithGetMsgSubject(s.config.deadSubject()))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return
			} else if err != nil {
				yield(DeadLetter{}, fmt.Errorf("natsbox: what is set aside: %w", err))
				return
			}
			if next = m.Sequence; next > state.LastSeq {
				return
			}
			records, _ := decode(m.Header, m.Data)
			if !yield(DeadLetter{m.Sequence, m.Time, m.Header.Get(reasonHeader), records}, nil) {
				return
			}
		}
	}
}

// Requeue puts what was set aside back into the stream, to be delivered once the
// cause is gone, such as an API key that was wrong. Where it fails, the message is
// in one place at least, or in both, and then it is delivered twice at worst. The
// error is [ErrFull], wraps [jetstream.ErrMsgNotFound] where there is no such letter,
// or is that of the server.
func (s *Sender) Requeue(ctx context.Context, sequence uint64) error {
	ctx = known(ctx)
	dead, err := s.deadLetters(ctx)
	if err != nil {
		return err
	}
	m, err := dead.GetMsg(ctx, sequence)
	if err != nil {
		return fmt.Errorf("natsbox: what was set aside: %w", err)
	}
	again := &nats.Msg{Subject: s.config.subject(), Data: m.Data, Header: nats.Header{
		// An id of its own: that of the first time may still be known.
		jetstream.MsgIDHeader: {fmt.Sprintf("%s-%d-%d", s.config.deadStream(), m.Sequence, m.Time.UnixNano())},
	}}
	if version := m.Header.Get(formatHeader); version != "" {
		again.Header.Set(formatHeader, version)
	}
	if _, err := s.publish(ctx, again, s.config.stream); isFull(err) {
		return ErrFull
	} else if err != nil {
		return fmt.Errorf("natsbox: putting back what was set aside: %w", err)
	}
	return s.Delete(ctx, sequence)
}

// Delete removes what was set aside, for good. The error is that of the server.
func (s *Sender) Delete(ctx context.Context, sequence uint64) error {
	ctx = known(ctx)
	dead, err := s.deadLetters(ctx)
	if err != nil {
		return err
	}
	if err := dead.DeleteMsg(ctx, sequence); err != nil {
		return fmt.Errorf("natsbox: deleting what was set aside: %w", err)
	}
	return nil
}

func (s *Sender) deadLetters(ctx context.Context) (jetstream.Stream, error) {
	dead, err := s.js.Stream(ctx, s.config.deadStream())
	if err != nil {
		return nil, fmt.Errorf("natsbox: the stream %s: %w", s.config.deadStream(), err)
	}
	return dead, nil
}

// shortened cuts a text that another module's error may have made too long for a
// header.
func shortened(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// safeText returns the text of an error that is known to hold no secrets, and the
// type of any other.
func safeText(err error) string {
	if delivery, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		return delivery.Error()
	}
	if invalid, ok := errors.AsType[*kissmetrics.ValidationError](err); ok {
		return invalid.Error()
	}
	return fmt.Sprintf("an error of type %T", err)
}
