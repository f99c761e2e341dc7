package natsbox

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// ErrNotParked is returned by [Sender.Requeue] and [Sender.Delete] for an id that
// is not that of a parked message.
var ErrNotParked = errors.New("natsbox: there is no such parked message")

// Parked is a message that can never be delivered; see [Sender.Run].
type Parked struct {
	// ID is its number in the stream "<name>-PARKED", for Requeue and Delete.
	ID int64
	// Time is when it was parked, by the server's clock.
	Time time.Time
	// Reason says why. It holds neither identities nor values.
	Reason string
	// Records are the refused records. There are none if the message could not be
	// read; it is in the stream as it was.
	Records []kissmetrics.Record
}

// Parked lists the parked messages, the oldest first. A message that is parked
// after the list has begun is not part of it. An error ends the list: it is
// [kissmetrics.ErrClosed] or the server's.
func (s *Sender) Parked(ctx context.Context) iter.Seq2[Parked, error] {
	return func(yield func(Parked, error) bool) {
		ctx := nilness.Context(ctx)
		stream, err := s.parkedStream(ctx)
		if err != nil {
			yield(Parked{}, err)
			return
		}
		state := stream.CachedInfo().State
		for next := state.FirstSeq; next <= state.LastSeq; next++ {
			m, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(s.config.parkedSubject()))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return
			} else if err != nil {
				yield(Parked{}, fmt.Errorf("natsbox: a parked message: %w", s.explained(err)))
				return
			}
			if next = m.Sequence; next > state.LastSeq {
				return
			}
			records, _ := decode(m.Header, m.Data)
			if !yield(Parked{int64(m.Sequence), m.Time, m.Header.Get(reasonHeader), records}, nil) { //nolint:gosec // not as many
				return
			}
		}
	}
}

// Requeue moves parked messages back into the stream, to be delivered once the
// cause is gone, such as a proxy that refused them. If it fails, a message is in one of the
// two streams, or in both, in which case it may be delivered twice. The error is
// [ErrFull], wraps [ErrNotParked], or is the server's; the messages before the one
// that failed are moved.
func (s *Sender) Requeue(ctx context.Context, ids ...int64) error {
	return s.unpark(ctx, ids, func(ctx context.Context, m *jetstream.RawStreamMsg) error {
		records, _ := decode(m.Header, m.Data)
		again := &nats.Msg{Subject: s.config.subject(max(len(records), 1)), Data: m.Data, Header: nats.Header{
			// An id of its own: that of the first time may still be known.
			jetstream.MsgIDHeader: {fmt.Sprintf("%s-%d-%d", s.config.parkedStream(), m.Sequence, m.Time.UnixNano())},
		}}
		if version := m.Header.Get(formatHeader); version != "" {
			again.Header.Set(formatHeader, version)
		}
		_, err := s.publish(ctx, again, s.config.stream)
		if isFull(err) {
			return ErrFull
		}
		return err
	})
}

// Delete removes parked messages for good. The error wraps [ErrNotParked] or is the
// server's; the messages before the one that failed are deleted.
func (s *Sender) Delete(ctx context.Context, ids ...int64) error {
	return s.unpark(ctx, ids, func(context.Context, *jetstream.RawStreamMsg) error { return nil })
}

// unpark removes parked messages, each after something was done with it.
func (s *Sender) unpark(ctx context.Context, ids []int64, with func(context.Context, *jetstream.RawStreamMsg) error) error {
	ctx = nilness.Context(ctx)
	stream, err := s.parkedStream(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id < 1 {
			return fmt.Errorf("%w: %d", ErrNotParked, id)
		}
		m, err := stream.GetMsg(ctx, uint64(id))
		if err == nil {
			if err = with(ctx, m); err == nil {
				err = stream.DeleteMsg(ctx, m.Sequence)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return fmt.Errorf("%w: %d", ErrNotParked, id)
		case errors.Is(err, ErrFull):
			return err
		default:
			return fmt.Errorf("natsbox: the parked message %d: %w", id, s.explained(err))
		}
	}
	return nil
}

func (s *Sender) parkedStream(ctx context.Context) (jetstream.Stream, error) {
	if err := s.isClosed(); err != nil {
		return nil, err
	}
	stream, err := s.js.Stream(ctx, s.config.parkedStream())
	if err != nil {
		return nil, fmt.Errorf("natsbox: the stream %s: %w", s.config.parkedStream(), s.explained(err))
	}
	return stream, nil
}
