package natsbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// Stats are the servers' counts of a stream, from all senders and relays together.
type Stats struct {
	// Waiting is how many records are stored and not delivered, including those
	// under way.
	Waiting int64 `json:"waiting"`
	// WaitingMessages is how many messages hold them, one for each Send, and
	// WaitingBytes their size, which counts towards the limit of the stream.
	WaitingMessages int64 `json:"waiting_messages"`
	WaitingBytes    int64 `json:"waiting_bytes"`
	// UnderWay is how many of those messages a relay has, or are to be tried again;
	// Redelivered is how many of these were handed out more than once.
	UnderWay    int64 `json:"under_way"`
	Redelivered int64 `json:"redelivered"`
	// Oldest is when the oldest message that waits was stored, and OldestAge how
	// long ago that is, both by the server's clock. They are zero if none waits.
	Oldest    time.Time     `json:"oldest,omitzero"`
	OldestAge time.Duration `json:"oldest_age"`
	// Stalled is for how long messages have waited without any of them being
	// delivered or parked. It is zero if none waits, so an idle relay has none. With
	// a relay that makes no progress, or none at all, it grows.
	Stalled time.Duration `json:"stalled"`
	// Parked is how many messages [Sender.Parked] lists.
	Parked int64 `json:"parked"`
}

// Stats asks the servers for the counts. The error is [kissmetrics.ErrClosed] or
// theirs.
func (s *Sender) Stats(ctx context.Context) (Stats, error) {
	ctx = nilness.Context(ctx)
	parked, err := s.parkedStream(ctx)
	if err != nil {
		return Stats{}, err
	}
	stream, err := s.js.Stream(ctx, s.config.stream)
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = stream.Info(ctx, jetstream.WithSubjectFilter(s.config.subjects()))
	}
	if err != nil {
		return Stats{}, fmt.Errorf("natsbox: the stream %s: %w", s.config.stream, s.explained(err))
	}
	stats := Stats{
		WaitingMessages: int64(info.State.Msgs),                //nolint:gosec // not as many
		WaitingBytes:    int64(info.State.Bytes),               //nolint:gosec // not as many
		Parked:          int64(parked.CachedInfo().State.Msgs), //nolint:gosec // not as many
	}
	for subject, messages := range info.State.Subjects {
		stats.Waiting += recordsOf(subject) * int64(messages) //nolint:gosec // not as many
	}
	if stats.WaitingMessages > 0 {
		stats.Oldest, stats.OldestAge = info.State.FirstTime, max(info.TimeStamp.Sub(info.State.FirstTime), 0)
		stats.Stalled = stats.OldestAge
	}
	consumer, err := stream.Consumer(ctx, consumerName)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound): // no relay runs
		return stats, nil
	case err != nil:
		return Stats{}, fmt.Errorf("natsbox: the consumer %s: %w", consumerName, s.explained(err))
	}
	stats.UnderWay = int64(consumer.CachedInfo().NumAckPending)
	stats.Redelivered = int64(consumer.CachedInfo().NumRedelivered)
	if last := consumer.CachedInfo().AckFloor.Last; last != nil {
		stats.Stalled = min(stats.Stalled, max(info.TimeStamp.Sub(*last), 0))
	}
	return stats, nil
}
