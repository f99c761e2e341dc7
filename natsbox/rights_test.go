package natsbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// A right is what a user of the server may publish, as the package's documentation
// lists it.
var (
	toCreate = []string{
		"$JS.API.STREAM.CREATE.KISSMETRICS", "$JS.API.STREAM.CREATE.KISSMETRICS-PARKED", "$JS.API.CONSUMER.CREATE.KISSMETRICS.relay",
	}
	toSend = []string{
		"KISSMETRICS.records.*", "$JS.API.STREAM.INFO.KISSMETRICS", "$JS.API.STREAM.INFO.KISSMETRICS-PARKED",
		"$JS.API.CONSUMER.INFO.KISSMETRICS.relay", "$JS.API.STREAM.MSG.GET.KISSMETRICS",
	}
	toRun = slices.Concat(toSend, []string{
		"KISSMETRICS.parked", "$JS.ACK.KISSMETRICS.relay.>",
		"$JS.API.CONSUMER.CREATE.KISSMETRICS.relay", "$JS.API.CONSUMER.MSG.NEXT.KISSMETRICS.relay",
	})
	toLook = slices.Concat(toSend, []string{"$JS.API.STREAM.MSG.GET.KISSMETRICS-PARKED", "$JS.API.STREAM.MSG.DELETE.KISSMETRICS-PARKED"})
)

// serveUsers runs a server of which each user may publish to some subjects only, and
// hear only what is sent to an inbox with the user's name.
func serveUsers(t testing.TB, rights map[string][]string) *server.Server {
	t.Helper()
	config := jetStreamConfig(t, "") + "accounts { APP: { jetstream: enabled, users: [ { user: all, password: all },"
	for user, subjects := range rights {
		config += fmt.Sprintf("{ user: %s, password: %[1]s, permissions: { publish: [ \"%s\" ], subscribe: \"%[1]s.>\" } },", user, strings.Join(subjects, `", "`))
	}
	return serve(t, config+" ] } }\n")
}

// as returns JetStream as a user has it.
func as(t testing.TB, s *server.Server, user string) jetstream.JetStream {
	t.Helper()
	options := []nats.Option{nats.UserInfo(user, user)}
	if user != "all" {
		options = append(options, nats.CustomInboxPrefix(user))
	}
	js, err := jetstream.New(dial(t, s, options...))
	require.NoError(t, err)
	return js
}

func TestTheRightsThatAreDocumentedAreEnough(t *testing.T) {
	t.Parallel()
	s := serveUsers(t, map[string][]string{"creator": toCreate, "sender": toSend, "relay": toRun, "looker": toLook})
	by := func(user string) *natsbox.Sender {
		js := as(t, s, user)
		t.Cleanup(func() { assert.NoError(t, js.Conn().LastError()) })
		sender, err := natsbox.New(t.Context(), js, single()...)
		require.NoError(t, err)
		return sender
	}
	require.NoError(t, natsbox.CreateStreams(t.Context(), as(t, s, "creator"), 64<<20, single()...))
	sends, looks := by("sender"), by("looker")
	stop := startRelay(t, by("relay"), senderFunc(func(_ context.Context, records []kissmetrics.Record) error { return refuse(records) }))
	require.NoError(t, sends.Send(t.Context(), []kissmetrics.Record{event(1)}))
	require.NoError(t, sends.Flush(t.Context()))
	stop()
	for _, n := range []int{1, 2, 2} { // one that was parked, a new one, and its repeat
		require.NoError(t, sends.Send(t.Context(), []kissmetrics.Record{event(n)}))
	}
	assert.EqualValues(t, 2, stats(t, sends).Waiting)
	for p, err := range looks.Parked(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, looks.Requeue(t.Context(), p.ID))
	}
	assert.Zero(t, stats(t, looks).Parked)
	require.NoError(t, as(t, s, "all").DeleteConsumer(t.Context(), "KISSMETRICS", "relay"))
	startRelay(t, by("relay"), nobody)
	require.NoError(t, sends.Flush(t.Context()))
}

func TestCreateStreamsTellsWhichRightIsMissing(t *testing.T) {
	t.Parallel()
	rights := map[string][]string{}
	for i := range toCreate {
		rights[fmt.Sprintf("user%d", i)] = slices.Delete(slices.Clone(toCreate), i, i+1)
	}
	s := serveUsers(t, rights)
	for i, missing := range toCreate {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := natsbox.CreateStreams(ctx, as(t, s, fmt.Sprintf("user%d", i)), 64<<20, single()...)
		require.ErrorContains(t, err, fmt.Sprintf("Permissions Violation for Publish to %q", missing))
	}
}

func TestNewTellsWhyTheSystemAccountDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, jetStreamConfig(t, "")+`
accounts { APP: { jetstream: enabled, users: [ { user: all, password: all } ] }, SYS: { users: [
  { user: deaf, password: deaf, permissions: { subscribe: "deaf.>" } },
  { user: mute, password: mute, permissions: { publish: { deny: "$SYS.REQ.>" } } } ] } }
system_account: SYS
`)
	js := as(t, s, "all")
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 64<<20, single()...))
	for said, system := range map[string]*nats.Conn{
		`Permissions Violation for Subscription to "_INBOX.`:              dial(t, s, nats.UserInfo("deaf", "deaf")),
		`Permissions Violation for Publish to "$SYS.REQ.SERVER.PING.JSZ"`: dial(t, s, nats.UserInfo("mute", "mute")),
		"only the system account can ask":                                 js.Conn(),
	} {
		_, err := natsbox.New(t.Context(), js, natsbox.WithReplicas(1), natsbox.WithSystemConn(system))
		require.ErrorContains(t, err, said)
	}
	_, err := natsbox.New(t.Context(), js, natsbox.WithReplicas(1), natsbox.WithSystemConn(as(t, s, "deaf").Conn()))
	require.NoError(t, err, "an inbox that the user may have")
}

// nats.go gives up after a while, or when a user is turned away twice.
func TestARelayWhoseConnectionWasClosedTellsWhy(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	js, _ := p.connect()
	newSender(t, js)
	connection, err := nats.Connect(p.server.ClientURL(), nats.MaxReconnects(1), nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	js, err = jetstream.New(connection)
	require.NoError(t, err)
	sender, err := natsbox.New(t.Context(), js, single()...)
	require.NoError(t, err)
	ended := runRelay(t, sender, nobody)
	p.stop()
	require.ErrorIs(t, <-ended, nats.ErrNoServers)
	require.ErrorIs(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}), nats.ErrNoServers)
}

// A server that does not answer is something else than one that is not connected.
func TestSendTellsThatTheConnectionIsDown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	js, _ := p.connect()
	sender := newSender(t, js, natsbox.WithTimeout(200*time.Millisecond))
	p.stop()
	require.ErrorContains(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}), "no answer from the server; the connection is down")
}
