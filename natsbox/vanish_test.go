package natsbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// A place is a server in this process that can go away and come back.
type place struct {
	t      testing.TB
	folder string
	port   int
	server *server.Server
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, folder: t.TempDir(), port: server.RANDOM_PORT}
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *place) start() {
	p.t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: p.port, JetStream: true, StoreDir: p.folder, NoLog: true, NoSigs: true, SyncAlways: true,
	})
	require.NoError(p.t, err)
	s.Start()
	require.True(p.t, s.ReadyForConnections(20*time.Second))
	p.server, p.port = s, s.Addr().(*net.TCPAddr).Port
}

func (p *place) stop() {
	p.server.Shutdown()
	p.server.WaitForShutdown()
}

// connect returns JetStream over a connection of its own, and the line that it is
// on.
func (p *place) connect() (jetstream.JetStream, *line) {
	p.t.Helper()
	l := &line{}
	connection, err := nats.Connect(p.server.ClientURL(), append(patient(), nats.SetCustomDialer(l))...)
	require.NoError(p.t, err)
	p.t.Cleanup(connection.Close)
	js, err := jetstream.New(connection)
	require.NoError(p.t, err)
	l.connection = connection
	return js, l
}

// A line is what a connection runs over. It can be cut.
type line struct {
	connection *nats.Conn

	mu   sync.Mutex
	cut  bool
	last net.Conn
}

func (l *line) Dial(network, address string) (net.Conn, error) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, errors.New("the line is cut")
	}
	connection, err := net.Dial(network, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = connection
	return connection, err
}

// without cuts the line, does something, and mends the line.
func (l *line) without(t testing.TB, do func()) {
	t.Helper()
	l.mu.Lock()
	l.cut = true
	_ = l.last.Close()
	l.mu.Unlock()
	require.Eventually(t, func() bool { return !l.connection.IsConnected() }, 10*time.Second, time.Millisecond)
	do()
	l.mu.Lock()
	l.cut = false
	l.mu.Unlock()
	require.Eventually(t, l.connection.IsConnected, 10*time.Second, time.Millisecond)
}

// A scene is a relay at work, and what a test may take away from it.
type scene struct {
	*place

	relay *line               // that of the relay
	admin jetstream.JetStream // of somebody else
}

func (s *scene) deleteConsumer() {
	s.t.Helper()
	require.NoError(s.t, s.admin.DeleteConsumer(s.t.Context(), "KISSMETRICS", "relay"))
}

func (s *scene) deleteStream() {
	s.t.Helper()
	require.NoError(s.t, s.admin.DeleteStream(s.t.Context(), "KISSMETRICS"))
}

// restartWithout restarts the server without some of its files.
func (s *scene) restartWithout(files ...string) {
	s.t.Helper()
	s.stop()
	if len(files) > 0 {
		file := filepath.Join(append([]string{s.folder}, files...)...)
		_, err := os.Stat(file)
		require.NoError(s.t, err)
		require.NoError(s.t, os.RemoveAll(file))
	}
	s.start()
}

// Whatever vanishes under a relay, it goes on within seconds, or says why it cannot
// and ends.
func TestARelayNeverStandsStill(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		vanish func(s *scene)
		ends   []error // with one of these, or goes on
	}{
		{"the connection is cut for a while", func(s *scene) { s.relay.without(s.t, func() {}) }, nil},
		{"the consumer is deleted", (*scene).deleteConsumer, nil},
		{"the consumer is deleted while the connection is cut", func(s *scene) { s.relay.without(s.t, s.deleteConsumer) }, nil},
		{"the server is restarted", func(s *scene) { s.restartWithout() }, nil},
		{"the server comes back without the consumer", func(s *scene) {
			s.restartWithout("jetstream", "$G", "streams", "KISSMETRICS", "obs", "relay")
		}, nil},
		{"the stream is deleted", (*scene).deleteStream, []error{jetstream.ErrStreamNotFound}},
		{"the stream is deleted while the connection is cut", func(s *scene) { s.relay.without(s.t, s.deleteStream) },
			[]error{jetstream.ErrStreamNotFound}},
		{"the server comes back without its folder", func(s *scene) { s.restartWithout("jetstream") },
			[]error{jetstream.ErrStreamNotFound}},
		{"the connection is closed", func(s *scene) { s.relay.connection.Close() },
			[]error{jetstream.ErrConnectionClosed, nats.ErrConnectionClosed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			js, relay := p.connect()
			admin, _ := p.connect()
			producer := newSender(t, admin)
			sender, err := natsbox.New(t.Context(), js, single()...)
			require.NoError(t, err)
			tracking := kissmetricstest.NewServer(t)
			ended := runRelay(t, sender, httpSender(t, tracking))
			require.NoError(t, producer.Send(t.Context(), []kissmetrics.Record{event(0)}))
			requireDrained(t, producer)

			tt.vanish(&scene{p, relay, admin})
			if len(tt.ends) > 0 {
				var err error
				select {
				case err = <-ended:
				case <-time.After(30 * time.Second):
				}
				require.ErrorContains(t, err, "the relay cannot go on")
				assert.True(t, slices.ContainsFunc(tt.ends, func(want error) bool { return errors.Is(err, want) }), "%v", err)
				return
			}
			for i := range 20 {
				require.NoError(t, producer.Send(t.Context(), []kissmetrics.Record{event(1 + i)}))
			}
			requireDrained(t, producer)
			for i := range 20 {
				assert.Len(t, tracking.Events(fmt.Sprintf("user-%d", 1+i)), 1)
			}
			assert.Empty(t, ended, "the relay runs on")
		})
	}
}

// runRelay runs a relay until the end of the test, and tells how it ended.
func runRelay(t testing.TB, sender *natsbox.Sender, next kissmetrics.Sender) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ended <- sender.Run(ctx, next) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return ended
}

func TestStatsTellARelayWithoutProgressFromAnIdleOne(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	js, _ := p.connect()
	sender := newSender(t, js)
	release := make(chan struct{})
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		if records[0].Person == "user-2" {
			<-release
		}
		return nil
	}))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	requireDrained(t, sender)
	assert.Zero(t, stats(t, sender).Stalled, "it is idle")

	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(2), event(3), event(4)}))
	require.Eventually(t, func() bool { return stats(t, sender).Stalled > 500*time.Millisecond }, 20*time.Second, 5*time.Millisecond)
	assert.EqualValues(t, 3, stats(t, sender).Waiting, "records")
	assert.EqualValues(t, 1, stats(t, sender).WaitingMessages)
	age := stats(t, sender).OldestAge
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(5)}))
	require.Eventually(t, func() bool { return stats(t, sender).Waiting == 3 }, 20*time.Second, time.Millisecond)
	assert.Less(t, stats(t, sender).Stalled, age, "another message got through")
	close(release)
	requireDrained(t, sender)
	assert.Zero(t, stats(t, sender).Stalled)
}
