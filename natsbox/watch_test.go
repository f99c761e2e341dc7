package natsbox_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// Somebody changes the consumer while a relay runs, so that it hands out too little.
// The relay says so and ends, and parks nothing of which it got a part.
func TestARelayEndsWhenItsConsumerIsChanged(t *testing.T) {
	t.Parallel()
	for problem, spoil := range map[string]func(c *jetstream.ConsumerConfig){
		"it takes some subjects only":      func(c *jetstream.ConsumerConfig) { c.FilterSubject = "KISSMETRICS.records.9" },
		"it hands out headers only":        func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true },
		"it gives up after 1 deliveries":   func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 1 },
		"it lets a relay wait for 1s only": func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = time.Second },
	} {
		t.Run(problem, func(t *testing.T) {
			t.Parallel()
			js := startServer(t, "").jetStream(t)
			sender := newSender(t, js)
			ended := make(chan error, 1)
			var recorder kissmetricstest.Recorder
			go func() { ended <- sender.Run(context.Background(), &recorder) }()
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(0)}))
			require.NoError(t, sender.Flush(t.Context()))

			change(t, js, spoil)
			for i := range 20 {
				require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1 + i)}))
			}
			requireProblems(t, <-ended, "consumer relay: "+problem)
			assert.Zero(t, stats(t, sender).Parked)

			require.NoError(t, js.DeleteConsumer(t.Context(), "KISSMETRICS", "relay"))
			startRelay(t, sender, &recorder)
			require.NoError(t, sender.Flush(t.Context()))
			assert.GreaterOrEqual(t, len(recorder.Records()), 21)
			assert.Zero(t, stats(t, sender).Parked)
		})
	}
}

// change gives the consumer other settings.
func change(t *testing.T, js jetstream.JetStream, spoil func(c *jetstream.ConsumerConfig)) {
	t.Helper()
	consumer, err := js.Consumer(t.Context(), "KISSMETRICS", "relay")
	require.NoError(t, err)
	config := consumer.CachedInfo().Config
	spoil(&config)
	_, err = js.UpdateConsumer(t.Context(), "KISSMETRICS", config)
	require.NoError(t, err)
}

// A stream that somebody changes, so that it may lose records, is told, and emptied.
func TestARelayTellsThatItsStreamWasChanged(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	var log trial.Log
	sender := newSender(t, js, logged(&log))
	var recorder kissmetricstest.Recorder
	startRelay(t, sender, &recorder)
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.Discard = jetstream.DiscardOld
	_, err = js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "when full it discards what is old") }, time.Minute, 10*time.Millisecond)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	require.NoError(t, sender.Flush(t.Context()))
	assert.Len(t, recorder.Records(), 1)
}

// silent is JetStream that answers once, that there is no stream, and then no more.
type silent struct {
	jetstream.JetStream

	asked atomic.Bool
}

func (s *silent) PublishMsg(ctx context.Context, _ *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if !s.asked.Swap(true) {
		return nil, jetstream.ErrNoStreamResponse
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// The reason of a failed Send is the server's, even if the last attempt was cut off.
func TestSendTellsWhatTheServerAnswered(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	newSender(t, js)
	sender, err := natsbox.New(t.Context(), &silent{JetStream: js}, single(natsbox.WithTimeout(300*time.Millisecond))...)
	require.NoError(t, err)
	err = sender.Send(t.Context(), []kissmetrics.Record{event(1)})
	failed, ok := errors.AsType[*kissmetrics.DeliveryError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, kissmetrics.FailureUnavailable, failed.Kind)
	assert.Contains(t, failed.Reason, "no response from stream")
}
