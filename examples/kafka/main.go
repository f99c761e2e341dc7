// Kafka relays RudderStack or Segment messages from a Kafka topic to Kissmetrics.
// relay.go is all there is to it: franz-go, Excluded, ParseMessage, Transform, a
// Sender and Settle. An offset is committed only when everything before it is
// delivered.
//
// You need neither a broker nor an account to try it, because this program starts
// both in memory:
//
//	go run ./examples/kafka
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const (
	topic = "events"
	group = "kissmetrics"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout io.Writer) error {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	if err != nil {
		return fmt.Errorf("starting a broker: %w", err)
	}
	defer broker.Close()
	tracking := kissmetricstest.Start()
	defer tracking.Close()
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("kafka"), kissmetrics.WithBaseURL(tracking.URL))
	if err != nil {
		return fmt.Errorf("making a sender: %w", err)
	}
	defer sender.CloseIdleConnections()
	client, err := newClient(broker.ListenAddrs())
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.CloseAllowingRebalance()

	messages := []string{
		`{"type":"identify","userId":"user-1","traits":{"plan":"free"},"timestamp":"2026-03-02T09:40:00Z"}`,
		`{"type":"track","userId":"user-1","event":"Order Completed","properties":{"revenue":25},"timestamp":"2026-03-02T09:41:00Z"}`,
		`{"type":"track","event":"of nobody"}`,
		`{"type":"track","userId":"user-1","event":"Secret","integrations":{"All":false}}`,
		`{"type":"page","userId":"user-1","name":"Pricing","timestamp":"2026-03-02T09:42:00Z"}`,
	}
	for _, message := range messages {
		record := &kgo.Record{Topic: topic, Key: []byte("user-1"), Value: []byte(message)}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("producing: %w", err)
		}
	}
	relaying, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	r := &relay{
		client: client,
		sender: sender,
		lost: func(r *kgo.Record, err error) {
			_, _ = fmt.Fprintf(stdout, "offset %d can never be delivered: %v\n", r.Offset, err)
		},
		adjusted: func(r *kgo.Record, adjustments []kissmetrics.Adjustment) {
			_, _ = fmt.Fprintf(stdout, "offset %d was adjusted: %v\n", r.Offset, adjustments)
		},
	}
	go func() { ended <- r.run(relaying) }()
	for ctx.Err() == nil && len(tracking.Requests()) < 3 {
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return err
	}
	for _, event := range tracking.Events("user-1") {
		if _, err := fmt.Fprintln(stdout, "Kissmetrics knows:", event.Name, event.Properties); err != nil {
			return err
		}
	}
	return nil
}

// newClient returns a client for a relay.
func newClient(brokers []string) (*kgo.Client, error) {
	return kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	)
}
