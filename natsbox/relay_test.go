package natsbox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

func TestAFailedDeliveryIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fail func(records []kissmetrics.Record) error
	}{
		{"the server is unavailable", func(records []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: records}
		}},
		{"some records are undelivered", func(records []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: records[:1], Undelivered: records[1:]}
		}},
		{"some are refused, some undelivered", func(records []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Refused: records[:1], Undelivered: records[1:]}
		}},
		{"some records are in none of the lists", func(records []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: records[:1]}
		}},
		{"an error of another kind", func([]kissmetrics.Record) error { return errors.New("what?") }},
		{"a panic", func([]kissmetrics.Record) error { panic("what?") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sender := newSender(t, startServer(t, "").jetStream(t))
			var attempts atomic.Int32
			records := []kissmetrics.Record{event(1), event(2)}
			startRelay(t, sender, senderFunc(func(_ context.Context, got []kissmetrics.Record) error {
				assert.Equal(t, records, got)
				if attempts.Add(1) <= 3 {
					return tt.fail(got)
				}
				return nil
			}))
			require.NoError(t, sender.Send(t.Context(), records))
			requireDrained(t, sender)
			assert.EqualValues(t, 4, attempts.Load())
			assert.Zero(t, stats(t, sender).Parked)
		})
	}
}

func TestTheWaitsGrowToTheirLimitAndNoFurther(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t), natsbox.WithBackoff(time.Millisecond, 2*time.Millisecond))
	var attempts atomic.Int32
	startRelay(t, sender, senderFunc(func(context.Context, []kissmetrics.Record) error {
		if attempts.Add(1) <= 70 { // more doublings than a duration has bits
			return errors.New("what?")
		}
		return nil
	}))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	requireDrained(t, sender)
}

func TestWhatCanNeverBeDeliveredIsParkedAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	records := []kissmetrics.Record{event(1), event(2)}
	for _, tt := range []struct {
		name   string
		err    error
		dead   []kissmetrics.Record
		reason string
	}{
		{"all are refused", refuse(records), records, "kissmetrics: delivery refused (1 attempt; 0 of 2 records delivered)"},
		{"it is refused, and not said which", &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1},
			records, "kissmetrics: delivery refused (1 attempt; 0 of 0 records delivered)"},
		{"one is refused", &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, Delivered: records[1:], Refused: records[:1]},
			records[:1], "kissmetrics: delivery refused (1 attempt; 1 of 2 records delivered)"},
		{"they are not valid to the next sender", &kissmetrics.ValidationError{Field: "event", Reason: "is missing"},
			records, "kissmetrics: invalid event: is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			js := startServer(t, "").jetStream(t)
			sender := newSender(t, js, natsbox.WithWorkers(1))
			var delivered sync.Map
			var healed atomic.Bool
			startRelay(t, sender, senderFunc(func(_ context.Context, got []kissmetrics.Record) error {
				if len(got) == 2 && !healed.Load() {
					return tt.err
				}
				for _, r := range got {
					delivered.Store(r.Person, true)
				}
				return nil
			}))
			require.NoError(t, sender.Send(t.Context(), records))
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(3)}))
			requireDrained(t, sender)
			_, ok := delivered.Load("user-3")
			assert.True(t, ok)
			assert.EqualValues(t, 1, stats(t, sender).Parked)
			dead, err := js.Stream(t.Context(), "KISSMETRICS-PARKED")
			require.NoError(t, err)
			m, err := dead.GetMsg(t.Context(), 1)
			require.NoError(t, err)
			assert.Equal(t, tt.reason, m.Header.Get("Kissmetrics-Reason"))

			healed.Store(true)
			for letter, err := range sender.Parked(t.Context()) {
				require.NoError(t, err)
				assert.Equal(t, tt.dead, letter.Records)
				assert.Equal(t, tt.reason, letter.Reason)
				require.NoError(t, sender.Requeue(t.Context(), letter.ID))
			}
			requireDrained(t, sender)
			for _, r := range tt.dead {
				_, ok := delivered.Load(r.Person)
				assert.True(t, ok, "%s", r.Person)
			}
			assert.Zero(t, stats(t, sender).Parked)
		})
	}
}

func TestWhatCannotBeReadIsParkedAsItIs(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	sender := newSender(t, js)
	for _, m := range []struct{ format, data string }{
		{"", `{"_p":"user-1","_t":1700000000,"_n":"Signed Up"}`},
		{"2", "whatever"},
		{"1", "{\"_p\":\"user-1\",\"_t\":1700000000,\"_n\":\"Signed Up\"}\n{\"_p\":\"us"},
		{"1", ""},
	} {
		message := &nats.Msg{Subject: "KISSMETRICS.records.1", Data: []byte(m.data), Header: nats.Header{"Kissmetrics-Format": {m.format}}}
		_, err := js.PublishMsg(t.Context(), message)
		require.NoError(t, err)
	}
	startRelay(t, sender, senderFunc(func(context.Context, []kissmetrics.Record) error {
		t.Error("something was sent")
		return nil
	}))
	requireDrained(t, sender)
	dead, err := js.Stream(t.Context(), "KISSMETRICS-PARKED")
	require.NoError(t, err)
	info, err := dead.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 4, info.State.Msgs)
	var reasons, data []string
	for i := range 4 {
		m, err := dead.GetMsg(t.Context(), uint64(i+1))
		require.NoError(t, err)
		reasons = append(reasons, m.Header.Get("Kissmetrics-Reason"))
		data = append(data, string(m.Data))
	}
	assert.Contains(t, data, "whatever")
	assert.ElementsMatch(t, []string{
		"kissmetrics: invalid message: is not from this package",
		`kissmetrics: invalid message: has the format "2", which this version does not know`,
		new(kissmetrics.Record).UnmarshalJSON([]byte(`{"_p":"us`)).Error(),
		"kissmetrics: invalid message: holds no records",
	}, reasons)
}

func TestWhatCannotBeParkedStays(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	sender := newSender(t, js)
	require.NoError(t, js.DeleteStream(t.Context(), "KISSMETRICS-PARKED"))
	var attempts atomic.Int32
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		attempts.Add(1)
		return refuse(records)
	}))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	require.Eventually(t, func() bool { return attempts.Load() > 2 }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 64<<20, single()...))
	requireDrained(t, sender)
	assert.EqualValues(t, 1, stats(t, sender).Parked)
}

func TestALongDeliveryIsNotHandedToAnotherRelay(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t), natsbox.WithAckWait(600*time.Millisecond))
	var calls atomic.Int32
	release := make(chan struct{})
	next := senderFunc(func(context.Context, []kissmetrics.Record) error {
		calls.Add(1)
		<-release
		return nil
	})
	startRelay(t, sender, next)
	startRelay(t, sender, next)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	require.Eventually(t, func() bool { return calls.Load() == 1 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return stats(t, sender).OldestAge > 1500*time.Millisecond }, 10*time.Second, 10*time.Millisecond,
		"twice the wait and more, by the server's clock")
	close(release)
	requireDrained(t, sender)
	assert.EqualValues(t, 1, calls.Load())
}

func TestARelayThatEndsGivesItsMessagesToAnotherAtOnce(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	sender := newSender(t, js, natsbox.WithAckWait(time.Hour))
	taken := make(chan struct{})
	stop := startRelay(t, sender, senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
		close(taken)
		<-ctx.Done()
		return ctx.Err()
	}))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	<-taken
	stop()
	server := kissmetricstest.NewServer(t)
	startRelay(t, sender, httpSender(t, server))
	requireDrained(t, sender)
	assert.Len(t, server.Events("user-1"), 1)
}

func TestARelayDoesNotStartWhereSettingsAreWrong(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	sender := newSender(t, js)
	require.NoError(t, js.DeleteConsumer(t.Context(), "KISSMETRICS", "relay"))
	_, err := js.CreateConsumer(t.Context(), "KISSMETRICS", jetstream.ConsumerConfig{
		Durable: "relay", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3, FilterSubject: "KISSMETRICS.records.1", MaxAckPending: -1,
	})
	require.NoError(t, err)
	requireProblems(t, sender.Run(t.Context(), httpSender(t, kissmetricstest.NewServer(t))),
		"consumer relay: it gives up after 3 deliveries", "consumer relay: it takes some subjects only")
	require.ErrorIs(t, sender.Run(t.Context(), nil), kissmetrics.ErrInvalidOption)
}

func TestStatsTellTheLagAndTheAgeOfTheOldest(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	assert.Equal(t, natsbox.Stats{}, stats(t, sender))
	before := time.Now()
	for i := range 3 {
		require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(i)}))
	}
	first := stats(t, sender)
	assert.EqualValues(t, 3, first.Waiting)
	assert.Positive(t, first.WaitingBytes)
	assert.WithinRange(t, first.Oldest, before.Add(-time.Second), time.Now().Add(time.Second))
	require.Eventually(t, func() bool { return stats(t, sender).OldestAge > first.OldestAge }, 5*time.Second, time.Millisecond)

	release := make(chan struct{})
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		if records[0].Person == "user-0" {
			<-release
		}
		return nil
	}))
	require.Eventually(t, func() bool { s := stats(t, sender); return s.Waiting == 1 && s.UnderWay == 1 }, 10*time.Second, 5*time.Millisecond)
	assert.Equal(t, first.Oldest, stats(t, sender).Oldest, "the oldest is the one that is held up")
	close(release)
	requireDrained(t, sender)
	assert.Equal(t, natsbox.Stats{}, stats(t, sender))
}

func TestRequeueStopsWhereTheStreamIsFull(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 4096, single()...))
	sender, err := natsbox.New(t.Context(), js, single()...)
	require.NoError(t, err)
	stop := startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error { return refuse(records) }))
	for i := range 5 {
		require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(i)}))
	}
	requireDrained(t, sender)
	stop()
	for i := 100; err == nil; i++ {
		err = sender.Send(t.Context(), []kissmetrics.Record{event(i)})
	}
	require.ErrorIs(t, err, natsbox.ErrFull)
	requeue := func() (err error) {
		for letter, broken := range sender.Parked(t.Context()) {
			require.NoError(t, broken)
			err = errors.Join(err, sender.Requeue(t.Context(), letter.ID))
		}
		return err
	}
	require.ErrorIs(t, requeue(), natsbox.ErrFull)
	assert.Positive(t, stats(t, sender).Parked)

	server := kissmetricstest.NewServer(t)
	startRelay(t, sender, httpSender(t, server))
	requireDrained(t, sender)
	require.NoError(t, requeue())
	requireDrained(t, sender)
	require.ErrorIs(t, sender.Requeue(t.Context(), 1), natsbox.ErrNotParked)
	for i := range 5 {
		assert.Len(t, server.Events(fmt.Sprintf("user-%d", i)), 1)
	}
}

func TestAnHTTPSenderTriesEachRecordOnce(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{Status: http.StatusBadGateway})
	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithBackoff(time.Hour, time.Hour))
	require.NoError(t, err)
	t.Cleanup(next.CloseIdleConnections)
	sender := newSender(t, startServer(t, "").jetStream(t))
	startRelay(t, sender, next)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	requireDrained(t, sender)
	assert.Len(t, server.Requests(), 2, "the relay tries again, by its own waits")
}
