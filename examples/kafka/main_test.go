package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheDemo(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	assert.Equal(t, `offset 2 can never be delivered: kissmetrics: invalid identity: is missing
Kissmetrics knows: Order Completed map[Billing Amount:25 revenue:25]
Kissmetrics knows: Viewed Pricing page map[]
`, out.String())
}

// gate is a Sender that fails for one person until it is opened. It refuses the
// person named refused, and one of the two records of the person named partly.
type gate struct {
	mu    sync.Mutex
	shut  string
	tried chan struct{}
	taken map[string]int
}

func (g *gate) Send(_ context.Context, records []kissmetrics.Record) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if records[0].Person == g.shut {
		select {
		case g.tried <- struct{}{}:
		default:
		}
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: records}
	}
	if records[0].Person == partly && len(records) > 1 {
		g.taken[partly]++
		return &kissmetrics.DeliveryError{
			Kind: kissmetrics.FailureRefused, Delivered: records[:1], Refused: records[1:2], Undelivered: records[2:],
		}
	}
	if records[0].Person == refused {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: 403, Refused: records}
	}
	g.taken[records[0].Person]++
	return nil
}

const (
	refused = "refused"
	partly  = "partly"
)

// newGate returns a gate that is shut to one person.
func newGate(shut string) *gate {
	return &gate{shut: shut, tried: make(chan struct{}, 1), taken: map[string]int{}}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = ""
}

// requireTaken requires that the events of all persons have arrived.
func (g *gate) requireTaken(t *testing.T, persons int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range persons {
		assert.Positive(t, g.taken[fmt.Sprintf("user-%d", i)], "user-%d", i)
	}
}

// any reports whether the gate has taken anything.
func (g *gate) any() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.taken) > 0
}

// newTopic returns a broker with a topic, and a client that knows no group.
func newTopic(t *testing.T, partitions int32) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(producer.Close)
	return broker, producer
}

// produce produces an event of each person, in each partition in turn.
func produce(t *testing.T, producer *kgo.Client, partitions int32, persons ...string) {
	t.Helper()
	for i, person := range persons {
		message := fmt.Sprintf(`{"type":"track","userId":%q,"event":"e"}`, person)
		record := &kgo.Record{Topic: topic, Value: []byte(message), Partition: int32(i) % partitions} //nolint:gosec // a few
		require.NoError(t, producer.ProduceSync(t.Context(), record).FirstErr())
	}
}

func users(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user-%d", i)
	}
	return names
}

// A running is a relay that runs.
type running struct {
	client *kgo.Client
	ended  chan error
	lost   chan int64
	stop   func()
}

func start(t *testing.T, broker *kfake.Cluster, g *gate) *running {
	t.Helper()
	client, err := newClient(broker.ListenAddrs())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{client: client, ended: make(chan error, 1), lost: make(chan int64, 16)}
	relay := &relay{
		client:   client,
		sender:   g,
		lost:     func(record *kgo.Record, _ error) { r.lost <- record.Offset },
		adjusted: func(*kgo.Record, []kissmetrics.Adjustment) {},
	}
	go func() { r.ended <- relay.run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		assert.ErrorIs(t, <-r.ended, context.Canceled)
		client.CloseAllowingRebalance()
	})
	return r
}

func TestAnOffsetIsCommittedOnlyWhenEverythingBeforeItIsDelivered(t *testing.T) {
	broker, producer := newTopic(t, 1)
	produce(t, producer, 1, users(10)...)
	g := newGate("user-5")
	r := start(t, broker, g)
	t.Cleanup(r.stop)
	<-g.tried // it came as far as user-5, whose delivery goes on failing
	r.stop()
	assert.LessOrEqual(t, committed(t, producer, 0), int64(5), "user-5 is not delivered")
	assert.Empty(t, r.lost)

	g.open()
	r = start(t, broker, g)
	t.Cleanup(r.stop)
	require.Eventually(t, func() bool { return committed(t, producer, 0) == 10 }, 30*time.Second, 10*time.Millisecond)
	r.stop()
	g.requireTaken(t, 10)
	assert.Empty(t, r.lost)
}

// An order of two products becomes three records: the gate takes the first,
// refuses the second and asks for the third again.
func TestOfAMessageOnlyWhatIsUndeliveredIsSentAgain(t *testing.T) {
	g := newGate("")
	r := &relay{sender: g, adjusted: func(*kgo.Record, []kissmetrics.Adjustment) {}}
	message := `{"type":"track","userId":"partly","event":"e","properties":{"products":[{"sku":1},{"sku":2}]}}`
	err := r.deliver(t.Context(), &kgo.Record{Value: []byte(message), Timestamp: time.Unix(1_772_442_000, 0)})
	require.ErrorContains(t, err, "refused")
	assert.Equal(t, map[string]int{partly: 2}, g.taken, "the first record, and then the third alone")
}

func TestWhatIsNotForKissmetricsIsPassedOver(t *testing.T) {
	r := &relay{} // has no sender that could be asked
	message := `{"type":"track","userId":"u","event":"e","integrations":{"All":false}}`
	require.NoError(t, r.deliver(t.Context(), &kgo.Record{Value: []byte(message), Timestamp: time.Unix(1_772_442_000, 0)}))
}

func TestWhatCanNeverBeDeliveredIsToldAndHoldsUpNothing(t *testing.T) {
	broker, producer := newTopic(t, 1)
	produce(t, producer, 1, "user-0", refused, "", "user-1")
	require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("no JSON")}).FirstErr())
	g := newGate("")
	r := start(t, broker, g)
	t.Cleanup(r.stop)
	for _, offset := range []int64{1, 2, 4} {
		select {
		case got := <-r.lost:
			assert.Equal(t, offset, got)
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing is told of offset %d", offset)
		}
	}
	require.Eventually(t, func() bool { return committed(t, producer, 0) == 5 }, 30*time.Second, 10*time.Millisecond)
	r.stop()
	g.requireTaken(t, 2)
}

// A relay that dies between a delivery and its commit leaves the same behind as
// one whose commit is refused.
func TestWhatWasDeliveredAndNotCommittedIsDeliveredAgain(t *testing.T) {
	broker, producer := newTopic(t, 1)
	produce(t, producer, 1, users(3)...)
	broker.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, of := range request.(*kmsg.OffsetCommitRequest).Topics {
			one := kmsg.NewOffsetCommitResponseTopic()
			one.Topic, one.TopicID = of.Topic, of.TopicID
			for _, p := range of.Partitions {
				partition := kmsg.NewOffsetCommitResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.IllegalGeneration.Code
				one.Partitions = append(one.Partitions, partition)
			}
			response.Topics = append(response.Topics, one)
		}
		return response, nil, true
	})
	g := newGate("")
	r := start(t, broker, g)
	require.ErrorIs(t, <-r.ended, kerr.IllegalGeneration)
	r.client.CloseAllowingRebalance()
	assert.LessOrEqual(t, committed(t, producer, 0), int64(0))

	r = start(t, broker, g)
	t.Cleanup(r.stop)
	require.Eventually(t, func() bool { return committed(t, producer, 0) == 3 }, 30*time.Second, 10*time.Millisecond)
	r.stop()
	g.requireTaken(t, 3)
}

func TestARebalanceLosesNothing(t *testing.T) {
	broker, producer := newTopic(t, 4)
	produce(t, producer, 4, users(40)...)
	g := newGate("user-17")
	first := start(t, broker, g)
	t.Cleanup(first.stop)
	<-g.tried // so the first is in the midst of what it polled
	others := newGate("")
	second := start(t, broker, others)
	t.Cleanup(second.stop)
	g.open()
	produced := int64(10) // in each partition
	more := func() {
		produce(t, producer, 4, users(4)...)
		produced++
	}
	require.Eventually(t, func() bool { more(); return others.any() }, 30*time.Second, 50*time.Millisecond, "the second gets nothing")
	first.stop()
	more()
	require.Eventually(t, func() bool {
		for partition := range int32(4) {
			if committed(t, producer, partition) != produced {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond, "the second has all partitions")
	second.stop()
	maps.Copy(g.taken, others.taken)
	g.requireTaken(t, 40)
}

func TestARelayWhoseClientIsClosedEnds(t *testing.T) {
	broker, _ := newTopic(t, 1)
	r := start(t, broker, newGate(""))
	r.client.CloseAllowingRebalance()
	select {
	case err := <-r.ended:
		require.True(t, errors.Is(err, kgo.ErrClientClosed), "%v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("it polls on")
	}
}

func TestTheRelayIsShort(t *testing.T) {
	source, err := os.ReadFile("relay.go")
	require.NoError(t, err)
	assert.Less(t, bytes.Count(source, []byte("\n")), 90)
}

// committed returns the offset that the group has committed in a partition.
func committed(t *testing.T, client *kgo.Client, partition int32) int64 {
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	asked := kmsg.NewOffsetFetchRequestTopic()
	asked.Topic, asked.Partitions = topic, []int32{partition}
	request.Topics = append(request.Topics, asked)
	of := kmsg.NewOffsetFetchRequestGroup()
	of.Group = group
	ofTopic := kmsg.NewOffsetFetchRequestGroupTopic()
	ofTopic.Topic, ofTopic.Partitions = topic, []int32{partition}
	of.Topics = append(of.Topics, ofTopic)
	request.Groups = append(request.Groups, of)
	response, err := request.RequestWith(context.Background(), client)
	require.NoError(t, err)
	for _, g := range response.Groups {
		for _, topics := range g.Topics {
			return topics.Partitions[0].Offset
		}
	}
	for _, topics := range response.Topics {
		return topics.Partitions[0].Offset
	}
	return -1
}
