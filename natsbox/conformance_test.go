package natsbox_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/natsbox"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
)

// TestConformance runs the suite of every durable sender. The limit of a stream is
// one of bytes, so the suite's limit of records is not tried; there is
// TestAFullStreamRefusesAndKeepsWhatItHas.
func TestConformance(t *testing.T) {
	t.Parallel()
	servers := startServer(t, syncAlways)
	streams := 0
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage {
		streams++
		name := natsbox.WithStream("s" + strconv.Itoa(streams))
		require.NoError(t, natsbox.CreateStreams(t.Context(), servers.jetStream(t), 1<<20, single(name)...))
		return outboxtest.Storage{Open: func(t *testing.T, _ int) outboxtest.Store {
			connection := servers.connect(t)
			js, err := jetstream.New(connection)
			require.NoError(t, err)
			sender, err := natsbox.New(t.Context(), js, single(name)...)
			require.NoError(t, err)
			return store{sender, connection}
		}}
	})
}

// store is a Sender as the suite wants it.
type store struct {
	*natsbox.Sender

	connection *nats.Conn
}

func (s store) Waiting(ctx context.Context) (int, error) {
	stats, err := s.Stats(ctx)
	return int(stats.Waiting), err
}

func (s store) Parked(ctx context.Context) ([]outboxtest.Parked, error) {
	var parked []outboxtest.Parked
	for p, err := range s.Sender.Parked(ctx) {
		if err != nil {
			return nil, err
		}
		parked = append(parked, outboxtest.Parked{ID: strconv.FormatInt(p.ID, 10), Records: p.Records, Reason: p.Reason})
	}
	return parked, nil
}

func (s store) Requeue(ctx context.Context, id string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return err
	}
	return s.Sender.Requeue(ctx, n)
}

func (s store) Delete(ctx context.Context, id string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return err
	}
	return s.Sender.Delete(ctx, n)
}

func (s store) Close(ctx context.Context) error {
	err := s.Sender.Close(ctx)
	s.connection.Close()
	return err
}
