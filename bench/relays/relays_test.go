// Package relays compares the senders that store. It is no part of package bench
// because what it imports is in the memory that is measured there.
package relays

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
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
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
	"github.com/kissmetrics-go/kissmetrics/internal/postgres"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
	"github.com/kissmetrics-go/kissmetrics/outbox"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(rig.ServerVariable); kind != "" {
		rig.Serve(kind)
		return
	}
	goleak.VerifyTestMain(m)
}

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
			url := rig.StartServer(b, "50ms")
			var delivered int
			var elapsed, busy time.Duration
			for b.Loop() {
				box := newBox(b, rig.Size(40_000))
				before, _, _ := rig.Counts(b, url)
				next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(url), kissmetrics.WithMaxAttempts(1))
				require.NoError(b, err)
				cpu, start := rig.CPU(b), time.Now()
				ctx, cancel := context.WithTimeout(b.Context(), rig.Round())
				require.NoError(b, box.Run(ctx, next))
				cancel()
				elapsed += time.Since(start)
				busy += rig.CPU(b) - cpu
				next.CloseIdleConnections()
				served, _, _ := rig.Counts(b, url)
				delivered += served - before
			}
			b.ReportMetric(float64(delivered)/elapsed.Seconds(), "records/s")
			b.ReportMetric(float64(busy.Microseconds())/float64(delivered), "cpu-µs/record")
			b.ReportMetric(0, "ns/op") // of a round, which says nothing
		})
	}
}

func newOutbox(b *testing.B, records int) box {
	box, err := outbox.Open(b.Context(), filepath.Join(b.TempDir(), "outbox.db"))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, box.Close(context.Background())) })
	store(b, box, records)
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
				if err := sender.Send(b.Context(), []kissmetrics.Record{record(i)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// record returns a record of about 200 bytes.
func record(i int) kissmetrics.Record {
	return kissmetrics.NewEvent("person-"+strconv.Itoa(i), "Ordered", time.Unix(1_772_452_800, 0),
		kissmetrics.Number("Billing Amount", 129.95),
		kissmetrics.Text("order_id", "order-2026-"+strconv.Itoa(i)),
		kissmetrics.Text("products", "MUG-1,TEE-4,PIN-9"),
		kissmetrics.Text("referrer", "https://example.com/campaign/spring?source=newsletter"),
		kissmetrics.Text("shipping", "express"))
}
