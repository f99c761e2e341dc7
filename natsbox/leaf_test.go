package natsbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// serve runs a server of some configuration in this process.
func serve(t testing.TB, config string) *server.Server {
	t.Helper()
	options := &server.Options{NoLog: true, NoSigs: true}
	require.NoError(t, options.ProcessConfigString(config))
	s, err := server.NewServer(options)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(20*time.Second))
	return s
}

// jetStreamConfig is the configuration of a server that keeps streams.
func jetStreamConfig(t testing.TB, settings string) string {
	t.Helper()
	return fmt.Sprintf("listen: \"127.0.0.1:-1\"\njetstream { store_dir: %q, max_file: 1GB, sync_interval: always, %s }\n", t.TempDir(), settings)
}

// dial returns a connection to a server of this process, which ends with the test.
func dial(t testing.TB, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	silent := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	connection, err := nats.Connect(s.ClientURL(), slices.Concat(patient(), []nats.Option{silent}, options)...)
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	return connection
}

// A link carries what two servers say to each other. It can be cut.
type link struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	lines []net.Conn
}

func newLink(t testing.TB, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &link{listener: listener, to: to}
	l.running.Go(l.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		l.setCut(true)
		l.running.Wait()
	})
	return l
}

func (l *link) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil || !l.add(near, far) {
			_ = near.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			l.running.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_ = near.Close()
				_ = far.Close()
			})
		}
	}
}

// add counts two ends of a line, unless the link is cut.
func (l *link) add(near, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = far.Close()
		return false
	}
	l.lines = append(l.lines, near, far)
	return true
}

// setCut cuts the link, or mends it.
func (l *link) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for _, end := range l.lines {
		_ = end.Close()
	}
	l.lines = nil
}

// A tree is a hub that keeps streams, and a leaf node that clients connect to.
type tree struct {
	leaf *server.Server
	link *link
}

// startTree starts a hub of the domain "hub", and a leaf node with settings of its
// own.
func startTree(t testing.TB, leafSettings string) *tree {
	t.Helper()
	port := freePorts(t, 1)[0]
	serve(t, jetStreamConfig(t, "domain: hub")+fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\", no_advertise: true }\n", port))
	l := newLink(t, fmt.Sprintf("127.0.0.1:%d", port))
	leaf := serve(t, leafSettings+fmt.Sprintf("leafnodes { reconnect: \"1s\", remotes: [ { url: \"nats-leaf://%s\" } ] }\n", l.listener.Addr()))
	tr := &tree{leaf, l}
	tr.awaitLink(t)
	return tr
}

func (tr *tree) awaitLink(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return tr.leaf.NumLeafNodes() > 0 }, 20*time.Second, time.Millisecond)
}

// hub returns the JetStream of the hub, as a client of the leaf node has it.
func (tr *tree) hub(t testing.TB) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.NewWithDomain(dial(t, tr.leaf), "hub")
	require.NoError(t, err)
	return awake(t, js)
}

// awake waits until JetStream answers: a server that takes connections need not
// know yet where to find it.
func awake(t testing.TB, js jetstream.JetStream) jetstream.JetStream {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := js.AccountInfo(t.Context())
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	return js
}

// A client of a leaf node stores in the hub, and delivers from there, whether the leaf
// node keeps streams of its own or none. Both go on when the link between them does.
func TestALeafNodeMayBeInBetween(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{
		"without JetStream": `listen: "127.0.0.1:-1"` + "\n", "with JetStream": jetStreamConfig(t, "domain: leaf"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := startTree(t, settings)
			sender := newSender(t, tr.hub(t))
			tracking := kissmetricstest.NewServer(t)
			startRelay(t, sender, httpSender(t, tracking))
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
			requireDrained(t, sender)

			tr.link.setCut(true)
			short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			require.ErrorIs(t, sender.Send(short, []kissmetrics.Record{event(2)}), context.DeadlineExceeded, "the hub is out of reach")
			tr.link.setCut(false)
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(3)}))
			requireDrained(t, sender)
			assert.Len(t, tracking.Events("user-3"), 1)
		})
	}
}

// A leaf node has a stream of the same name, which takes the same messages and may
// answer first, or alone. New has not seen that one, and no relay need be there.
func TestSendDoesNotTakeTheAnswerOfAnotherDomain(t *testing.T) {
	t.Parallel()
	tr := startTree(t, jetStreamConfig(t, "domain: leaf"))
	hub := tr.hub(t)
	sender := newSender(t, hub)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	local, err := jetstream.New(dial(t, tr.leaf))
	require.NoError(t, err)
	newSender(t, awake(t, local))

	take := func(subject string) {
		t.Helper()
		stream, err := hub.Stream(t.Context(), "KISSMETRICS")
		require.NoError(t, err)
		config := stream.CachedInfo().Config
		config.Subjects = []string{subject}
		_, err = hub.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	take("others") // so that only the leaf answers
	err = sender.Send(t.Context(), []kissmetrics.Record{event(2)})
	requireProblems(t, err, `stream KISSMETRICS: another of its name, in the JetStream domain "leaf" and not "hub", takes the same messages`)
	failed, ok := errors.AsType[*kissmetrics.DeliveryError](err)
	require.True(t, ok)
	assert.Equal(t, 1, failed.Attempts, "it will not be otherwise a moment later")
	assert.Len(t, failed.Undelivered, 1)

	tr.link.setCut(true)
	require.Eventually(t, func() bool { return tr.leaf.NumLeafNodes() == 0 }, 20*time.Second, time.Millisecond)
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	require.Error(t, sender.Send(short, []kissmetrics.Record{event(3)}), "the hub does not have it")
	tr.link.setCut(false)
	tr.awaitLink(t)

	require.NoError(t, local.DeleteStream(t.Context(), "KISSMETRICS"))
	take("KISSMETRICS.records.*")
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(4)}))
}

// The prefix of JetStream's requests is the one that the caller has chosen.
func TestStreamsOfAnotherAccountAreSentToAndDelivered(t *testing.T) {
	t.Parallel()
	s := serve(t, jetStreamConfig(t, "domain: hub")+`
accounts {
  HUB: { jetstream: enabled, exports: [
    { service: "$JS.API.>", response_type: stream }, { service: "$JS.ACK.KISSMETRICS.relay.>" },
    { service: "KISSMETRICS.records.*" }, { service: "KISSMETRICS.parked" } ] }
  APP: { users: [ { user: app, password: app } ], imports: [
    { service: { account: HUB, subject: "$JS.API.>" }, to: "hub.api.>" }, { service: { account: HUB, subject: "$JS.ACK.KISSMETRICS.relay.>" } },
    { service: { account: HUB, subject: "KISSMETRICS.records.*" } }, { service: { account: HUB, subject: "KISSMETRICS.parked" } } ] }
}
no_auth_user: app
`)
	for _, prefix := range []string{"hub.api", "hub.api."} {
		t.Run(prefix, func(t *testing.T) {
			js, err := jetstream.NewWithAPIPrefix(dial(t, s), prefix)
			require.NoError(t, err)
			// The server does not see that a relay of another account has ended, and hands out
			// to it what then waits for so long.
			sender := newSender(t, js, natsbox.WithAckWait(time.Second))
			first := true
			stop := startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
				switch {
				case records[0].Person == "user-2":
					return refuse(records)
				case first:
					first = false
					return errors.New("once more")
				}
				return nil
			}))
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
			requireDrained(t, sender)
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(2)}))
			requireDrained(t, sender)
			stop()
			parked := 0
			for p, err := range sender.Parked(t.Context()) {
				require.NoError(t, err)
				require.NoError(t, sender.Delete(t.Context(), p.ID))
				parked++
			}
			assert.Equal(t, 1, parked)
		})
	}
}
