package natsbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stats are what the servers know of a stream, whoever sends to it or relays from
// it. They count messages: what one Send stored.
type Stats struct {
	// Waiting is the lag: how many messages are stored and not delivered, those
	// under way included.
	Waiting int64 `json:"waiting"`
	// WaitingBytes is what those take, of the limit of the stream.
	WaitingBytes int64 `json:"waiting_bytes"`
	// UnderWay is how many of them are with a relay, or wait to be tried again.
	UnderWay int64 `json:"under_way"`
	// Redelivered is how many of those were handed out before.
	Redelivered int64 `json:"redelivered"`
	// Oldest is when the oldest message that waits was stored, and OldestAge how
	// long ago that is, both by the server's clock. They are zero where none waits.
	Oldest    time.Time     `json:"oldest"`
	OldestAge time.Duration `json:"oldest_age"`
	// SetAside is how many are stored that can never be delivered; see [Sender.Run].
	SetAside int64 `json:"set_aside"`
}

// Stats asks the servers how much waits, and for how long. The error is theirs.
func (s *Sender) Stats(ctx context.Context) (Stats, error) {
	ctx = known(ctx)
	stream, err := s.js.Stream(ctx, s.config.stream)
	if err != nil {
		return Stats{}, fmt.Errorf("natsbox: the stream %s: %w", s.config.stream, err)
	}
	dead, err := s.js.Stream(ctx, s.config.deadStream())
	if err != nil {
		return Stats{}, fmt.Errorf("natsbox: the stream %s: %w", s.config.deadStream(), err)
	}
	info := stream.CachedInfo()
	stats := Stats{
		Waiting:      int64(info.State.Msgs),              //nolint:gosec // not as many
		WaitingBytes: int64(info.State.Bytes),             //nolint:gosec // not as many
		SetAside:     int64(dead.CachedInfo().State.Msgs), //nolint:gosec // not as many
	}
	if stats.Waiting > 0 {
		stats.Oldest, stats.OldestAge = info.State.FirstTime, max(info.TimeStamp.Sub(info.State.FirstTime), 0)
	}
	consumer, err := stream.Consumer(ctx, consumerName)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound): // no relay has run
		return stats, nil
	case err != nil:
		return Stats{}, fmt.Errorf("natsbox: the consumer %s: %w", consumerName, err)
	}
	stats.UnderWay = int64(consumer.CachedInfo().NumAckPending)
	stats.Redelivered = int64(consumer.CachedInfo().NumRedelivered)
	return stats, nil
}
