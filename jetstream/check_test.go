package jetstream_test

import (
	"errors"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/jetstream"
)

func requireProblems(t testing.TB, err error, problems ...string) {
	t.Helper()
	wrong, ok := errors.AsType[*jetstream.SettingsError](err)
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
	_, err := js.CreateStream(t.Context(), natsjs.StreamConfig{
		Name: "KISSMETRICS", Subjects: []string{"other"}, Storage: natsjs.MemoryStorage, MaxAge: time.Hour, MaxMsgsPerSubject: 1, NoAck: true,
	})
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), natsjs.StreamConfig{
		Name: "KISSMETRICS-DEAD", Subjects: []string{"KISSMETRICS.dead"}, Retention: natsjs.WorkQueuePolicy, PersistMode: natsjs.AsyncPersistMode,
		MaxMsgSize:       1000,
		SubjectTransform: &natsjs.SubjectTransformConfig{Source: "KISSMETRICS.dead", Destination: "other"},
	})
	require.NoError(t, err)
	_, err = jetstream.New(t.Context(), js, jetstream.WithSystemConn(servers.connectSystem(t)))
	requireProblems(t, err,
		`stream KISSMETRICS: its subjects are ["other"], without KISSMETRICS.records`,
		"stream KISSMETRICS: its retention is Limits, not WorkQueue",
		"stream KISSMETRICS: its storage is Memory, not File",
		"stream KISSMETRICS: it has 1 replicas, not 3",
		"stream KISSMETRICS: when full it discards what is old, not what is new",
		"stream KISSMETRICS: it has no limit of bytes",
		"stream KISSMETRICS: it drops what is older than 1h0m0s",
		"stream KISSMETRICS: it keeps 1 messages of a subject only",
		"stream KISSMETRICS: it acknowledges nothing",
		"stream KISSMETRICS-DEAD: its retention is WorkQueue, not Limits",
		"stream KISSMETRICS-DEAD: it is written asynchronously",
		"stream KISSMETRICS-DEAD: it has 1 replicas, not 3",
		"stream KISSMETRICS-DEAD: when full it discards what is old, not what is new",
		"stream KISSMETRICS-DEAD: it has no limit of bytes",
		"stream KISSMETRICS-DEAD: it renames subjects",
		"stream KISSMETRICS-DEAD: it takes messages of 1000 bytes at most",
		"server n1: its sync_interval is not always",
	)
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	assert.Equal(t, natsjs.MemoryStorage, stream.CachedInfo().Config.Storage, "nothing is changed")
}

func TestNewAcceptsWhatCreateStreamsMakes(t *testing.T) {
	t.Parallel()
	servers := startServer(t, syncAlways)
	js := servers.jetStream(t)
	require.NoError(t, jetstream.CreateStreams(t.Context(), js, 1<<20, jetstream.WithReplicas(1)))
	require.NoError(t, jetstream.CreateStreams(t.Context(), js, 1<<20, jetstream.WithReplicas(1)), "again, and nothing changes")
	_, err := jetstream.New(t.Context(), js, jetstream.WithReplicas(1), jetstream.WithSystemConn(servers.connectSystem(t)))
	require.NoError(t, err)

	_, err = jetstream.New(t.Context(), js, jetstream.WithSyncUnchecked())
	requireProblems(t, err, "stream KISSMETRICS: it has 1 replicas, not 3", "stream KISSMETRICS-DEAD: it has 1 replicas, not 3")

	require.ErrorIs(t, jetstream.CreateStreams(t.Context(), js, 2<<20, jetstream.WithReplicas(1)), natsjs.ErrStreamNameAlreadyInUse)
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	assert.EqualValues(t, 1<<20, stream.CachedInfo().Config.MaxBytes, "nothing is changed")
}

func TestNewNeedsTheStreamsAndTheSystemAccount(t *testing.T) {
	t.Parallel()
	servers := startServer(t, syncAlways)
	js := servers.jetStream(t)
	_, err := jetstream.New(t.Context(), js, single()...)
	require.ErrorIs(t, err, natsjs.ErrStreamNotFound)
	require.NoError(t, jetstream.CreateStreams(t.Context(), js, 1<<20, jetstream.WithReplicas(1)))
	_, err = jetstream.New(t.Context(), js, jetstream.WithReplicas(1), jetstream.WithSystemConn(servers.connect(t)))
	require.ErrorContains(t, err, "asking for the servers' settings", "the connection is to another account")
}

func TestEveryWrongOptionIsReported(t *testing.T) {
	t.Parallel()
	_, err := jetstream.New(t.Context(), nil, nil, jetstream.WithStream("a.b"), jetstream.WithReplicas(2), jetstream.WithTimeout(0),
		jetstream.WithWorkers(0), jetstream.WithAckWait(0), jetstream.WithBackoff(2, 1), jetstream.WithLogger(nil))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, name := range []string{
		"an option is nil", "WithStream", "WithReplicas", "WithTimeout", "WithWorkers", "WithAckWait", "WithBackoff", "WithLogger",
		"there is no JetStream", "say WithSyncUnchecked",
	} {
		assert.ErrorContains(t, err, name)
	}
	js := startServer(t, "").jetStream(t)
	err = jetstream.CreateStreams(t.Context(), js, 0, jetstream.WithStream(""))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	require.ErrorContains(t, err, "WithStream")
	require.ErrorContains(t, err, "0 bytes")
	system := startServer(t, "").connectSystem(t)
	_, err = jetstream.New(t.Context(), js, jetstream.WithSystemConn(system), jetstream.WithSyncUnchecked())
	require.ErrorContains(t, err, "contradicts")
}
