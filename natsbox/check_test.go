package natsbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

func requireProblems(t testing.TB, err error, problems ...string) {
	t.Helper()
	wrong, ok := errors.AsType[*natsbox.SettingsError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, problems, wrong.Problems)
	for _, problem := range problems {
		require.ErrorContains(t, err, problem)
	}
}

func TestNewListsEverySettingThatIsWrong(t *testing.T) {
	t.Parallel()
	servers := startServer(t, "")
	js := servers.jetStream(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KISSMETRICS", Subjects: []string{"other"}, Storage: jetstream.MemoryStorage, MaxAge: time.Hour, MaxMsgsPerSubject: 1, NoAck: true,
	})
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KISSMETRICS-PARKED", Subjects: []string{"KISSMETRICS.parked"}, Retention: jetstream.WorkQueuePolicy, PersistMode: jetstream.AsyncPersistMode,
		MaxMsgSize:       1000,
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "KISSMETRICS.parked", Destination: "other"}, Duplicates: time.Second,
	})
	require.NoError(t, err)
	_, err = natsbox.New(t.Context(), js, natsbox.WithSystemConn(servers.connectSystem(t)))
	requireProblems(t, err,
		`stream KISSMETRICS: its subjects are ["other"], without KISSMETRICS.records.*`,
		"stream KISSMETRICS: its retention is Limits, not WorkQueue",
		"stream KISSMETRICS: its storage is Memory, not File",
		"stream KISSMETRICS: it has 1 replicas, not 3",
		"stream KISSMETRICS: when full it discards what is old, not what is new",
		"stream KISSMETRICS: it has no limit of bytes",
		"stream KISSMETRICS: it drops what is older than 1h0m0s",
		"stream KISSMETRICS: it keeps 1 messages of a subject only",
		"stream KISSMETRICS: it acknowledges nothing",
		"stream KISSMETRICS-PARKED: its retention is WorkQueue, not Limits",
		"stream KISSMETRICS-PARKED: it is written asynchronously",
		"stream KISSMETRICS-PARKED: it has 1 replicas, not 3",
		"stream KISSMETRICS-PARKED: when full it discards what is old, not what is new",
		"stream KISSMETRICS-PARKED: it has no limit of bytes",
		"stream KISSMETRICS-PARKED: it renames subjects",
		"stream KISSMETRICS-PARKED: it knows a repeat for 1s only, not for 30s",
		"stream KISSMETRICS-PARKED: it takes messages of 1000 bytes at most",
		"server n1: its sync_interval is not always",
	)
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	assert.Equal(t, jetstream.MemoryStorage, stream.CachedInfo().Config.Storage, "nothing is changed")
}

func TestNewAcceptsWhatCreateStreamsMakes(t *testing.T) {
	t.Parallel()
	servers := startServer(t, syncAlways)
	js := servers.jetStream(t)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, natsbox.WithReplicas(1)))
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, natsbox.WithReplicas(1)), "again, and nothing changes")
	_, err := natsbox.New(t.Context(), js, natsbox.WithReplicas(1), natsbox.WithSystemConn(servers.connectSystem(t)))
	require.NoError(t, err)

	_, err = natsbox.New(t.Context(), js, natsbox.WithSyncUnchecked())
	requireProblems(t, err, "stream KISSMETRICS: it has 1 replicas, not 3", "stream KISSMETRICS-PARKED: it has 1 replicas, not 3")

	require.ErrorIs(t, natsbox.CreateStreams(t.Context(), js, 2<<20, natsbox.WithReplicas(1)), jetstream.ErrStreamNameAlreadyInUse)
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	assert.EqualValues(t, 1<<20, stream.CachedInfo().Config.MaxBytes, "nothing is changed")
}

func TestNewNeedsTheStreamsAndTheSystemAccount(t *testing.T) {
	t.Parallel()
	servers := startServer(t, syncAlways)
	js := servers.jetStream(t)
	_, err := natsbox.New(t.Context(), js, single()...)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, natsbox.WithReplicas(1)))
	_, err = natsbox.New(t.Context(), js, natsbox.WithReplicas(1), natsbox.WithSystemConn(servers.connect(t)))
	require.ErrorContains(t, err, "asking for the servers' settings", "the connection is to another account")
}

func TestEveryWrongOptionIsReported(t *testing.T) {
	t.Parallel()
	_, err := natsbox.New(t.Context(), nil, nil, natsbox.WithStream("a.b"), natsbox.WithReplicas(2), natsbox.WithTimeout(0),
		natsbox.WithWorkers(0), natsbox.WithAckWait(0), natsbox.WithBackoff(2, 1), natsbox.WithLogger(nil))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, name := range []string{
		"an option is nil", "WithStream", "WithReplicas", "WithTimeout", "WithWorkers", "WithAckWait", "WithBackoff", "WithLogger",
		"the JetStream is nil", "say WithSyncUnchecked",
	} {
		assert.ErrorContains(t, err, name)
	}
	type connection struct{ jetstream.JetStream }
	var none *connection
	_, err = natsbox.New(t.Context(), none, natsbox.WithSyncUnchecked())
	require.ErrorContains(t, err, "the JetStream is nil")
	require.ErrorContains(t, natsbox.CreateStreams(t.Context(), none, 1<<20), "the JetStream is nil")
	js := startServer(t, "").jetStream(t)
	err = natsbox.CreateStreams(t.Context(), js, 0, natsbox.WithStream(""))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	require.ErrorContains(t, err, "WithStream")
	require.ErrorContains(t, err, "0 bytes")
	system := startServer(t, "").connectSystem(t)
	_, err = natsbox.New(t.Context(), js, natsbox.WithSystemConn(system), natsbox.WithSyncUnchecked())
	require.ErrorContains(t, err, "contradicts")
}

// A mirror has a hidden consumer, and the server removes from the stream what all its
// consumers have had. With that one alone, records would be in the copy only.
func TestAMirrorTakesNothingFromTheRelays(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(c *jetstream.StreamConfig, origin *jetstream.StreamSource){
		"mirror": func(c *jetstream.StreamConfig, origin *jetstream.StreamSource) { c.Mirror = origin },
		"sources": func(c *jetstream.StreamConfig, origin *jetstream.StreamSource) {
			c.Sources = []*jetstream.StreamSource{origin}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := startServer(t, "").jetStream(t)
			sender := newSender(t, js)
			config := jetstream.StreamConfig{Name: "COPY"}
			of(&config, &jetstream.StreamSource{Name: "KISSMETRICS"})
			mirror, err := js.CreateStream(t.Context(), config)
			require.NoError(t, err)
			copied := func(n uint64) func() bool {
				return func() bool {
					info, err := mirror.Info(t.Context())
					return err == nil && info.State.Msgs == n
				}
			}
			_, err = js.Consumer(t.Context(), "KISSMETRICS", "relay")
			require.NoError(t, err, "without it, the server removes within seconds what was copied")
			const messages = 20
			for i := range messages {
				require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(i)}))
				require.Eventually(t, copied(uint64(i+1)), 20*time.Second, 5*time.Millisecond)
			}
			assert.EqualValues(t, messages, stats(t, sender).Waiting)
			var recorder kissmetricstest.Recorder
			stop := startRelay(t, sender, &recorder)
			requireDrained(t, sender)
			stop()
			assert.Len(t, recorder.Records(), messages)
			_, err = natsbox.New(t.Context(), js, single()...)
			require.NoError(t, err, "it does no harm")

			require.NoError(t, js.DeleteConsumer(t.Context(), "KISSMETRICS", "relay"))
			_, err = natsbox.New(t.Context(), js, single()...)
			requireProblems(t, err, "stream KISSMETRICS: a mirror, or a stream that it is a source of, takes its messages, "+
				"for there is no consumer relay that keeps them")
		})
	}
}

// Without its own duplicate_window, a stream with sources knows no repeats.
func TestARepeatMustBeKnownForAsLongAsSendTries(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	sender := newSender(t, js)
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	require.NoError(t, js.DeleteStream(t.Context(), "KISSMETRICS"))
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}})
	require.NoError(t, err)
	config.Sources = []*jetstream.StreamSource{{Name: "OTHER"}}
	for _, tt := range []struct {
		window  time.Duration
		options []natsbox.Option
		problem string
	}{
		{0, nil, "for 0s only, not for 30s"},
		{time.Second, nil, "for 1s only, not for 30s"},
		{time.Second, []natsbox.Option{natsbox.WithTimeout(time.Second)}, ""},
		{time.Minute, []natsbox.Option{natsbox.WithTimeout(time.Hour)}, "for 1m0s only, not for 2m0s"},
		{2 * time.Minute, []natsbox.Option{natsbox.WithTimeout(time.Hour)}, ""},
	} {
		config.Duplicates = tt.window
		_, err = js.CreateOrUpdateStream(t.Context(), config)
		require.NoError(t, err)
		_, err = natsbox.New(t.Context(), js, single(tt.options...)...)
		if tt.problem == "" {
			require.NoError(t, err)
		} else {
			requireProblems(t, err, "stream KISSMETRICS: it knows a repeat "+tt.problem)
		}
	}
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	assert.EqualValues(t, 1, stats(t, sender).Waiting)
}

func TestCreateStreamsLeavesAConsumerAsItIs(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, single(natsbox.WithAckWait(time.Second))...))
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, single(natsbox.WithAckWait(time.Minute))...))
	sender, err := natsbox.New(t.Context(), js, single(natsbox.WithAckWait(time.Minute))...)
	require.NoError(t, err)
	requireProblems(t, sender.Run(t.Context(), nobody), "consumer relay: it waits 1s for an acknowledgement, not 1m0s")
}
