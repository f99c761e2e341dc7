package natsbox_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

func TestACallerWithoutAContextOrAServerDoesNoHarm(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	var none context.Context
	require.NoError(t, natsbox.CreateStreams(none, js, 1<<20, single()...))
	sender, err := natsbox.New(none, js, single()...)
	require.NoError(t, err)
	require.NoError(t, sender.Send(none, []kissmetrics.Record{event(1)}))
	_, err = sender.Stats(none)
	require.NoError(t, err)
	for _, err := range sender.Parked(none) {
		require.NoError(t, err)
	}
	require.ErrorIs(t, sender.Requeue(none, 1), natsbox.ErrNotParked)
	require.Error(t, sender.Delete(none, 1))
	require.NoError(t, js.DeleteStream(t.Context(), "KISSMETRICS"))
	require.ErrorIs(t, sender.Run(none, nobody), jetstream.ErrStreamNotFound)

	err = natsbox.CreateStreams(t.Context(), nil, 1<<20)
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	require.ErrorContains(t, err, "the JetStream is nil")
}

func TestANextSenderWhoseErrorIsANilPointerIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]error{
		"delivery": (*kissmetrics.DeliveryError)(nil), "validation": (*kissmetrics.ValidationError)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			sender := newSender(t, startServer(t, "").jetStream(t))
			var calls atomic.Int32
			startRelay(t, sender, senderFunc(func(context.Context, []kissmetrics.Record) error {
				if calls.Add(1) == 1 {
					return bad
				}
				return nil
			}))
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
			requireDrained(t, sender)
			assert.EqualValues(t, 2, calls.Load())
			assert.Zero(t, stats(t, sender).Parked)
		})
	}
}

// What was set aside, and deleted or not, is no reason to drop what is sent again:
// Kissmetrics has seen nothing of it.
func TestWhatWasParkedCanBeSentAgain(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	stop := startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error { return refuse(records) }))
	record := event(1)
	record.Properties = []kissmetrics.Property{{Name: "Plan", Value: "wrong"}}
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{record}))
	requireDrained(t, sender)
	stop()
	require.NoError(t, sender.Delete(t.Context(), 1))

	record.Properties[0].Value = "corrected"
	for range 2 {
		require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{record}))
	}
	var got sync.Map
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		got.Store(records[0].Properties[0].Value, true)
		return nil
	}))
	requireDrained(t, sender)
	_, ok := got.Load("corrected")
	assert.True(t, ok)
}

func TestALargeMessageIsDeliveredInOnePiece(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	records := make([]kissmetrics.Record, 10_000)
	for i := range records {
		records[i] = event(i)
	}
	require.NoError(t, sender.Send(t.Context(), records))
	got := make(chan []kissmetrics.Record, 1)
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		got <- records
		return nil
	}))
	assert.Equal(t, records, <-got)
	requireDrained(t, sender)

	for i := range records {
		records[i].Name = ""
	}
	err := sender.Send(t.Context(), records)
	require.Error(t, err)
	assert.Equal(t, 16, strings.Count(err.Error(), "\n")+1, "an error has an end")
}

// The largest message that is accepted must have room for the reason why it is set
// aside, or else it would stay for good.
func TestTheLargestMessageCanBeParked(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	records := make([]kissmetrics.Record, 128)
	for i := range records {
		records[i] = properties("user-1", second.Add(time.Duration(i)*time.Second), "a")
		records[i].Properties[0].Value = strings.Repeat("x", 8192)
	}
	last := &records[len(records)-1]
	least, most := 0, 8193
	for most-least > 1 { // a search for the largest, to the byte
		middle := (least + most) / 2
		last.Time = second.Add(time.Duration(1000+middle) * time.Second)
		last.Properties[0].Value = strings.Repeat("x", middle)
		if err := sender.Send(t.Context(), records); err == nil {
			least = middle
		} else {
			_, invalid := errors.AsType[*kissmetrics.ValidationError](err)
			require.True(t, invalid, "%v", err)
			most = middle
		}
	}
	require.Less(t, most, 8193, "nothing was too large")
	accepted := stats(t, sender).WaitingMessages
	require.Positive(t, accepted)
	startRelay(t, sender, senderFunc(func(context.Context, []kissmetrics.Record) error {
		return &kissmetrics.ValidationError{Field: "message", Reason: strings.Repeat("a long reason ", 1000)}
	}))
	requireDrained(t, sender)
	assert.Equal(t, accepted, stats(t, sender).Parked)
	for letter, err := range sender.Parked(t.Context()) {
		require.NoError(t, err)
		assert.Less(t, len(letter.Reason), 600)
	}
}

func TestRequeueingAllEndsThoughAllIsParkedAgain(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error { return refuse(records) }))
	for i := range 3 {
		require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(i)}))
	}
	requireDrained(t, sender)
	letters := 0
	for letter, err := range sender.Parked(t.Context()) {
		require.NoError(t, err)
		letters++
		require.LessOrEqual(t, letters, 3)
		require.NoError(t, sender.Requeue(t.Context(), letter.ID))
		requireDrained(t, sender)
	}
	assert.Equal(t, 3, letters)
	assert.EqualValues(t, 3, stats(t, sender).Parked)
}

func TestARelayNamesEverySettingOfItsConsumerThatIsWrong(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	streams := 0
	right := jetstream.ConsumerConfig{
		Durable: "relay", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxDeliver: -1, MaxAckPending: -1,
	}
	for _, tt := range []struct {
		problem string
		spoil   func(c *jetstream.ConsumerConfig, subject string)
	}{
		{"it waits 1s for an acknowledgement, not 30s", func(c *jetstream.ConsumerConfig, _ string) { c.AckWait = time.Second }},
		{"it gives up after 3 deliveries", func(c *jetstream.ConsumerConfig, _ string) { c.MaxDeliver = 3 }},
		{"it hands out nothing more when 1000 messages fail", func(c *jetstream.ConsumerConfig, _ string) { c.MaxAckPending = 1000 }},
		{"it takes some subjects only", func(c *jetstream.ConsumerConfig, subject string) { c.FilterSubject = subject }},
		{"it takes some subjects only", func(c *jetstream.ConsumerConfig, subject string) { c.FilterSubjects = []string{subject} }},
		{"it hands out as slowly as messages came", func(c *jetstream.ConsumerConfig, _ string) { c.ReplayPolicy = jetstream.ReplayOriginalPolicy }},
		{"it has priority groups", func(c *jetstream.ConsumerConfig, _ string) {
			c.PriorityPolicy, c.PriorityGroups = jetstream.PriorityPolicyOverflow, []string{"a"}
		}},
		{"it lets a relay wait for 1s only", func(c *jetstream.ConsumerConfig, _ string) { c.MaxRequestExpires = time.Second }},
		{"it has waits between deliveries of its own", func(c *jetstream.ConsumerConfig, _ string) { c.BackOff = []time.Duration{30 * time.Second, time.Hour} }},
		{"it pushes", func(c *jetstream.ConsumerConfig, _ string) { c.DeliverSubject = "pushed" }},
		{"it hands out headers only", func(c *jetstream.ConsumerConfig, _ string) { c.HeadersOnly = true }},
		{"it is removed when no relay runs for 1h0m0s", func(c *jetstream.ConsumerConfig, _ string) { c.InactiveThreshold = time.Hour }},
		{"it is kept in memory", func(c *jetstream.ConsumerConfig, _ string) { c.MemoryStorage = true }},
		{"it cannot be created: multiple non-filtered consumers not allowed on workqueue stream", func(c *jetstream.ConsumerConfig, _ string) { c.Durable = "another" }},
	} {
		t.Run(tt.problem, func(t *testing.T) {
			streams++
			name := fmt.Sprintf("s%d", streams)
			require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, single(natsbox.WithStream(name))...))
			sender, err := natsbox.New(t.Context(), js, single(natsbox.WithStream(name))...)
			require.NoError(t, err)
			require.NoError(t, js.DeleteConsumer(t.Context(), name, "relay"))
			config := right
			tt.spoil(&config, name+".records.*")
			if config.DeliverSubject == "" {
				_, err = js.CreateConsumer(t.Context(), name, config)
			} else {
				_, err = js.CreatePushConsumer(t.Context(), name, config)
			}
			require.NoError(t, err)
			requireProblems(t, sender.Run(t.Context(), nobody), "consumer relay: "+tt.problem)
		})
	}
}

// answering is JetStream whose answers to what is published are made up.
type answering struct {
	jetstream.JetStream

	answers []error
	asked   atomic.Int32
}

func (a *answering) PublishMsg(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	i := min(int(a.asked.Add(1)), len(a.answers)) - 1
	if a.answers[i] != nil {
		return nil, a.answers[i]
	}
	return &jetstream.PubAck{Stream: "KISSMETRICS", Sequence: 1}, nil
}

func TestWhatSendMakesOfTheServersAnswers(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	newSender(t, js)
	answer := func(code jetstream.ErrorCode, description string) error {
		return &jetstream.APIError{Code: 500, ErrorCode: code, Description: description}
	}
	invalid := func(t *testing.T, err error) {
		t.Helper()
		wrong, ok := errors.AsType[*kissmetrics.ValidationError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, "message", wrong.Field)
	}
	full := func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, natsbox.ErrFull) }
	stored := func(t *testing.T, err error) { t.Helper(); require.NoError(t, err) }
	unavailable := func(t *testing.T, err error) {
		t.Helper()
		failed, ok := errors.AsType[*kissmetrics.DeliveryError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, kissmetrics.FailureUnavailable, failed.Kind)
	}
	for _, tt := range []struct {
		name    string
		answers []error
		want    func(t *testing.T, err error)
		asked   int32
	}{
		{"the account has no room", []error{answer(10002, "resource limits exceeded for account")}, full, 1},
		{"the server has no room", []error{answer(10023, "insufficient resources")}, full, 1},
		{"the disk has no room", []error{answer(10047, "insufficient storage resources available")}, full, 1},
		{"the stream has its bytes", []error{answer(10077, "maximum bytes exceeded")}, full, 1},
		{"the stream has its messages", []error{answer(10077, "maximum messages exceeded")}, full, 1},
		{"the stream takes none so large", []error{answer(10054, "message size exceeds maximum allowed")}, invalid, 1},
		{"the connection takes none so large", []error{nats.ErrMaxPayload}, invalid, 1},
		{"another stream has the subject", []error{answer(10060, "expected stream does not match")}, unavailable, 1},
		{"the stream is sealed", []error{answer(10109, "invalid operation on sealed stream")}, unavailable, 1},
		{"the store failed, and then did not", []error{answer(10077, "maximum effort failed"), nil}, stored, 2},
		{"there is no leader for a while", []error{nats.ErrNoResponders, jetstream.ErrNoStreamResponse, answer(10008, "system temporarily unavailable"), nil}, stored, 4},
		{"the first attempt is still being stored", []error{context.DeadlineExceeded, answer(10158, "duplicate message id is in process"), nil}, stored, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			made := &answering{JetStream: js, answers: tt.answers}
			sender, err := natsbox.New(t.Context(), made, single()...)
			require.NoError(t, err)
			tt.want(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
			assert.Equal(t, tt.asked, made.asked.Load())
		})
	}
}

func TestNewSeesAMirrorAndASeal(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, single(natsbox.WithStream("SOURCE"))...))
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, single()...))
	require.NoError(t, js.DeleteStream(t.Context(), "KISSMETRICS"))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KISSMETRICS", Mirror: &jetstream.StreamSource{Name: "SOURCE-PARKED"}, Discard: jetstream.DiscardNew, MaxBytes: 1 << 20,
	})
	require.NoError(t, err)
	dead, err := js.Stream(t.Context(), "KISSMETRICS-PARKED")
	require.NoError(t, err)
	config := dead.CachedInfo().Config
	config.Sealed = true
	_, err = js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	_, err = natsbox.New(t.Context(), js, single()...)
	requireProblems(t, err,
		"stream KISSMETRICS: its subjects are [], without KISSMETRICS.records.*",
		"stream KISSMETRICS: its retention is Limits, not WorkQueue",
		"stream KISSMETRICS: it is a mirror",
		"stream KISSMETRICS-PARKED: it is sealed",
	)
}

// The two streams may be on different servers, and each of these must sync always.
func TestNewAsksTheServersOfBothStreams(t *testing.T) {
	t.Parallel()
	servers := startServersOf(t, syncAlways, "")
	js := servers.jetStream(t)
	for name, tag := range map[string]string{"KISSMETRICS": "n1", "KISSMETRICS-PARKED": "n2"} {
		config := jetstream.StreamConfig{
			Name: name, Subjects: []string{"KISSMETRICS.records.*"}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
			MaxBytes: 1 << 20, Placement: &jetstream.Placement{Tags: []string{tag}},
		}
		if tag == "n2" {
			config.Subjects, config.Retention = []string{"KISSMETRICS.parked"}, jetstream.LimitsPolicy
		}
		require.Eventually(t, func() bool {
			_, err := js.CreateStream(t.Context(), config)
			return err == nil
		}, 60*time.Second, 50*time.Millisecond, "the cluster has no leader")
	}
	_, err := natsbox.New(t.Context(), js, natsbox.WithReplicas(1), natsbox.WithSystemConn(servers.connectSystem(t)))
	requireProblems(t, err, "server n2: its sync_interval is not always")
}

func TestWhatIsDeliveredWhileARelayEndsIsAcknowledged(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t), natsbox.WithAckWait(time.Hour))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, sender.Run(ctx, senderFunc(func(context.Context, []kissmetrics.Record) error {
		cancel()
		return nil
	})))
	assert.Zero(t, stats(t, sender).Waiting)
}

// A message that comes just when the relay ends is another's at once, not after the
// time of WithAckWait.
func TestWhatComesWhileARelayEndsIsNotHeldBack(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t), natsbox.WithAckWait(time.Hour), natsbox.WithWorkers(32))
	none := senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error { return ctx.Err() })
	for round := range 10 {
		stop := startRelay(t, sender, none)
		require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1000 + round)}))
		requireDrained(t, sender) // so that it is at work
		var sending sync.WaitGroup
		for i := range 32 {
			sending.Go(func() { assert.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(32*round + i)})) })
		}
		stop()
		sending.Wait()
	}
	startRelay(t, sender, none)
	requireDrained(t, sender)
}

func TestARelayKeepsNothingOfWhatIsDelivered(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	startRelay(t, sender, senderFunc(func(context.Context, []kissmetrics.Record) error { return nil }))
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	large := strings.Repeat("x", 8192)
	for i := range 200 { // of 200 kB each
		records := make([]kissmetrics.Record, 24)
		for j := range records {
			records[j] = properties(fmt.Sprintf("user-%d", i), second.Add(time.Duration(j)*time.Second), "a")
			records[j].Properties[0].Value = large
		}
		require.NoError(t, sender.Send(t.Context(), records))
	}
	requireDrained(t, sender)
	// Other tests run at the same time, and need a little.
	require.Eventually(t, func() bool { return inUse() < before+20<<20 }, 20*time.Second, 100*time.Millisecond)
}
