package natsbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// logged gives a sender a log that a test reads.
func logged(log *trial.Log) natsbox.Option {
	return natsbox.WithLogger(slog.New(slog.NewTextHandler(log, nil)))
}

// The server answers nothing to what it forbids. What it forbids is told all the same.
func TestWhatTheServerForbidsIsTold(t *testing.T) {
	t.Parallel()
	const records, parked = "KISSMETRICS.records.*", "KISSMETRICS.parked"
	for _, tt := range []struct {
		kind, subject string
		said          string // of the subject
		do            func(ctx context.Context, sender *natsbox.Sender) error
	}{
		{"publish", records, "KISSMETRICS.records.1", nil},
		{"publish", parked, parked, runParking},
		{"publish", "$JS.ACK.>", "$JS.ACK.KISSMETRICS.relay.", runParking},
		{"publish", "$JS.API.CONSUMER.INFO.>", "$JS.API.CONSUMER.INFO.KISSMETRICS.relay", runParking},
		{"publish", "$JS.API.CONSUMER.MSG.NEXT.>", "$JS.API.CONSUMER.MSG.NEXT.KISSMETRICS.relay", runParking},
		{"publish", "$JS.API.STREAM.INFO.>", "$JS.API.STREAM.INFO.KISSMETRICS", nil},
		{"subscribe", "_INBOX.>", "_INBOX.", nil},
	} {
		t.Run(tt.subject, func(t *testing.T) {
			t.Parallel()
			s := serve(t, jetStreamConfig(t, "")+fmt.Sprintf(`
accounts { APP: { jetstream: enabled, users: [
  { user: all, password: all }, { user: some, password: some, permissions: { %s: { deny: [ %q ] } } } ] } }
`, tt.kind, tt.subject))
			admin, err := jetstream.New(dial(t, s, nats.UserInfo("all", "all")))
			require.NoError(t, err)
			free := newSender(t, admin)
			require.NoError(t, free.Send(t.Context(), []kissmetrics.Record{event(1)}))
			require.NoError(t, free.Send(t.Context(), []kissmetrics.Record{event(2)}))

			js, err := jetstream.New(dial(t, s, nats.UserInfo("some", "some")))
			require.NoError(t, err)
			var log trial.Log
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			sender, err := natsbox.New(ctx, js, single(natsbox.WithTimeout(2*time.Second), logged(&log))...)
			if err == nil && tt.do == nil {
				err = sender.Send(t.Context(), []kissmetrics.Record{event(3)})
			}
			if tt.do == nil {
				require.ErrorIs(t, err, nats.ErrPermissionViolation)
				require.ErrorContains(t, err, tt.said)
				return
			}
			ctx, cancel = context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- tt.do(ctx, sender) }()
			assert.Eventually(t, func() bool {
				return strings.Contains(strings.ReplaceAll(log.String(), `\"`, `"`), `Permissions Violation for Publish to "`+tt.said)
			}, 30*time.Second, 10*time.Millisecond)
			cancel()
			require.NoError(t, <-ended, "the right may be given")
			assert.Positive(t, stats(t, free).Waiting, "nothing is lost")
		})
	}
}

// The server turns away a user whom it knew before. A connection that goes on trying all
// the same (nats.IgnoreAuthErrorAbort) shows nothing of that to the workers.
func TestARelayWhoseUserIsTurnedAwayTellsWhy(t *testing.T) {
	t.Parallel()
	users := func(names ...string) string {
		config := "accounts { APP: { jetstream: enabled, users: ["
		for _, name := range names {
			config += fmt.Sprintf(" { user: %s, password: secret },", name)
		}
		return config + " ] } }\n"
	}
	common := jetStreamConfig(t, "")
	s := serve(t, common+users("app", "other"))
	reload := func(config string) {
		t.Helper()
		options := &server.Options{}
		require.NoError(t, options.ProcessConfigString(config))
		options.NoLog, options.NoSigs = true, true
		require.NoError(t, s.ReloadOptions(options))
	}
	js, err := jetstream.New(dial(t, s, nats.UserInfo("app", "secret"), nats.IgnoreAuthErrorAbort()))
	require.NoError(t, err)
	var log trial.Log
	sender := newSender(t, js, logged(&log), natsbox.WithTimeout(2*time.Second))
	startRelay(t, sender, nobody)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	requireDrained(t, sender)

	reload(common + users("other"))
	require.Eventually(t, func() bool { return strings.Contains(strings.ToLower(log.String()), "authorization violation") }, 30*time.Second, 10*time.Millisecond)
	err = sender.Send(t.Context(), []kissmetrics.Record{event(2)})
	require.ErrorIs(t, err, nats.ErrAuthorization)
	reload(common + users("app", "other"))
	require.Eventually(t, func() bool { return sender.Send(t.Context(), []kissmetrics.Record{event(3)}) == nil }, 30*time.Second, 10*time.Millisecond)
	requireDrained(t, sender)
	assert.NotContains(t, log.String(), "secret")
}

// runParking delivers a record of user-1, and parks others.
func runParking(ctx context.Context, sender *natsbox.Sender) error {
	return sender.Run(ctx, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		if records[0].Person == "user-1" {
			return nil
		}
		return refuse(records)
	}))
}

// A consumer that somebody has paused hands out nothing, and shows every sign of life.
func TestARelayTellsThatItsConsumerPassesOverMessages(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	var log trial.Log
	sender := newSender(t, js, logged(&log))
	startRelay(t, sender, nobody)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	requireDrained(t, sender)
	_, err := js.Conn().RequestWithContext(t.Context(), "$JS.API.CONSUMER.RESET.KISSMETRICS.relay", []byte(`{"seq":1000}`))
	require.NoError(t, err)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(2)}))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "consumer relay: it passes over messages") }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, js.DeleteConsumer(t.Context(), "KISSMETRICS", "relay"))
	requireDrained(t, sender)
	assert.Equal(t, 1, strings.Count(log.String(), "it passes over"), "once")
}

func TestARelayTellsThatItsConsumerIsPaused(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	var log trial.Log
	sender := newSender(t, js, logged(&log))
	startRelay(t, sender, nobody)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	_, err := js.PauseConsumer(t.Context(), "KISSMETRICS", "relay", until)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), "consumer relay: it is paused until "+until.UTC().Format(time.RFC3339))
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	_, err = js.ResumeConsumer(t.Context(), "KISSMETRICS", "relay")
	require.NoError(t, err)
	requireDrained(t, sender)
	assert.Equal(t, 1, strings.Count(log.String(), "it is paused"), "once")
}
