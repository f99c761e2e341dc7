package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// gate is a Sender that fails at one person until it is opened.
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
	g.taken[records[0].Person]++
	return nil
}

func TestAnOffsetIsCommittedOnlyWhenEverythingBeforeItIsDelivered(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	g := &gate{shut: "user-5", tried: make(chan struct{}, 1), taken: map[string]int{}}
	start := func() (stop func()) {
		client, err := newClient(broker.ListenAddrs())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- relay(ctx, client, g, func(r *kgo.Record, err error) { t.Errorf("offset %d is lost: %v", r.Offset, err) })
		}()
		return sync.OnceFunc(func() {
			cancel()
			require.NoError(t, <-ended)
			client.CloseAllowingRebalance()
		})
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(producer.Close)
	for i := range 10 {
		message := fmt.Sprintf(`{"type":"track","userId":"user-%d","event":"e"}`, i)
		require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(message)}).FirstErr())
	}

	stop := start()
	t.Cleanup(stop)
	<-g.tried // it came as far as the fifth, which goes on failing
	stop()
	assert.LessOrEqual(t, committed(t, producer), int64(5), "user-5 is not delivered")

	g.mu.Lock()
	g.shut = ""
	g.mu.Unlock()
	stop = start()
	t.Cleanup(stop)
	require.Eventually(t, func() bool { return committed(t, producer) == 10 }, 30*time.Second, 10*time.Millisecond)
	stop()
	for i := range 10 {
		assert.Positive(t, g.taken[fmt.Sprintf("user-%d", i)], "user-%d", i)
	}
}

// committed returns the offset that the group has committed.
func committed(t *testing.T, client *kgo.Client) int64 {
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	asked := kmsg.NewOffsetFetchRequestTopic()
	asked.Topic, asked.Partitions = topic, []int32{0}
	request.Topics = append(request.Topics, asked)
	of := kmsg.NewOffsetFetchRequestGroup()
	of.Group = group
	ofTopic := kmsg.NewOffsetFetchRequestGroupTopic()
	ofTopic.Topic, ofTopic.Partitions = topic, []int32{0}
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
