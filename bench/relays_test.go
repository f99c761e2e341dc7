package bench

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/postgres"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
	"github.com/kissmetrics-go/kissmetrics/outbox"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// A box is a sender that stores, and a relay that delivers what is stored.
type box interface {
	kissmetrics.Sender
	Run(ctx context.Context, next kissmetrics.Sender) error
}

// BenchmarkRelaysNetwork has a relay of each kind deliver what is stored, with its
// default options, to a server that answers after 50 milliseconds. It reports how
// many records a second are delivered within 10 seconds (1 with -benchtime 1x). The
// database and the servers of NATS are on this machine, and share its processors.
func BenchmarkRelaysNetwork(b *testing.B) {
	for name, newBox := range map[string]func(b *testing.B, records int) box{"outbox": newOutbox, "riverbox": newRiverbox, "natsbox": newNatsbox} {
		b.Run(name, func(b *testing.B) {
			url, results := startServer(b, "50ms"), series{}
			for b.Loop() {
				box := newBox(b, size(40_000))
				before, _, _ := counts(b, url)
				next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(url), kissmetrics.WithMaxAttempts(1))
				require.NoError(b, err)
				busy, start := cpu(b), time.Now()
				ctx, cancel := context.WithTimeout(b.Context(), aRound())
				require.NoError(b, box.Run(ctx, next))
				cancel()
				next.CloseIdleConnections()
				served, _, _ := counts(b, url)
				results.add("records/s", float64(served-before)/time.Since(start).Seconds())
				results.add("cpu-µs/record", float64((cpu(b)-busy).Microseconds())/float64(served-before))
			}
			results.report(b)
		})
	}
}

func newOutbox(b *testing.B, records int) box {
	path := filepath.Join(b.TempDir(), "outbox.db")
	fill(b, path, records)
	box, err := outbox.Open(b.Context(), path)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, box.Close(context.Background())) })
	return box
}

func newRiverbox(b *testing.B, records int) box {
	cluster, err := postgres.Start(b.Context())
	if errors.Is(err, postgres.ErrNotInstalled) {
		b.Skip(err)
	}
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, cluster.Remove()) })
	pool, err := pgxpool.New(b.Context(), cluster.URL("postgres"))
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	_, err = migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(b, err)
	sender, err := riverbox.New(b.Context(), pool)
	require.NoError(b, err)
	store(b, sender, records)
	return sender
}

func newNatsbox(b *testing.B, records int) box {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: b.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(b, err)
	s.Start()
	require.True(b, s.ReadyForConnections(10*time.Second))
	b.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	connection, err := nats.Connect(s.ClientURL())
	require.NoError(b, err)
	b.Cleanup(connection.Close)
	js, err := jetstream.New(connection)
	require.NoError(b, err)
	single := []natsbox.Option{natsbox.WithReplicas(1), natsbox.WithSyncUnchecked()}
	require.NoError(b, natsbox.CreateStreams(b.Context(), js, 1<<30, single...))
	sender, err := natsbox.New(b.Context(), js, single...)
	require.NoError(b, err)
	store(b, sender, records)
	return sender
}

// store has a sender store so many records, one a message.
func store(b *testing.B, sender kissmetrics.Sender, records int) {
	const producers = 64
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for i := p; i < records; i += producers {
				if err := sender.Send(b.Context(), []kissmetrics.Record{order(i)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
