package natsbox

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// These tests give a worker made-up messages, so that its waits take no time.

// A handed is a message that a worker gets. It records what the worker says of it.
type handed struct {
	jetstream.Msg

	header     nats.Header
	data       []byte
	deliveries uint64
	stored     time.Time

	mu    sync.Mutex
	beats int
	given []time.Duration // the waits with which it was given back
	acked bool
}

func newHanded(t *testing.T, deliveries uint64) *handed {
	t.Helper()
	m, err := encode([]kissmetrics.Record{{
		Kind: kissmetrics.KindEvent, Person: "user-1", Name: "Signed Up", Time: time.Unix(1_700_000_000, 0),
	}})
	require.NoError(t, err)
	return &handed{header: m.Header, data: m.Data, deliveries: deliveries, stored: time.Now()}
}

func (h *handed) Headers() nats.Header { return h.header }

func (h *handed) Data() []byte { return h.data }

func (h *handed) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{NumDelivered: h.deliveries, Timestamp: h.stored}, nil
}

func (h *handed) InProgress() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beats++
	return nil
}

func (h *handed) DoubleAck(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = true
	return nil
}

func (h *handed) NakWithDelay(wait time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.given = append(h.given, wait)
	return nil
}

// beaten counts how often the server was told that h is worked on.
func (h *handed) beaten() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.beats
}

// A hand is an iterator over made-up messages. It calls taken for each that is
// asked for, and ends when ctx does.
type hand struct {
	jetstream.MessagesContext

	ctx   context.Context
	next  func() *handed
	taken func()
}

func (h *hand) Next(...jetstream.NextOpt) (jetstream.Msg, error) {
	h.taken()
	if m := h.next(); m != nil {
		return m, nil
	}
	<-h.ctx.Done()
	return nil, h.ctx.Err()
}

type sendFunc func(ctx context.Context, records []kissmetrics.Record) error

func (f sendFunc) Send(ctx context.Context, records []kissmetrics.Record) error {
	return f(ctx, records)
}

func testRelay(next kissmetrics.Sender, options ...Option) *relay {
	c, _ := configure(options)
	r := newRelay(&Sender{config: c, js: offline{}}, next)
	r.look = func(context.Context) ([]string, error) { return nil, nil }
	return r
}

// offline has no connection.
type offline struct{ jetstream.JetStream }

func (offline) Conn() *nats.Conn { return nil }

func unavailable(records []kissmetrics.Record, after time.Duration) error {
	return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: records, RetryAfter: after}
}

func TestARetryAfterHoldsBackTheMessageAndTheWorker(t *testing.T) {
	for _, tt := range []struct {
		name        string
		after, want time.Duration
	}{
		{"for as long as the answer asked", 2 * time.Minute, 2 * time.Minute},
		{"for five minutes at most", 1000 * time.Hour, 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				began := time.Now()
				var asked []time.Duration
				first, second := newHanded(t, 1), newHanded(t, 1)
				messages := []*handed{first, second}
				r := testRelay(sendFunc(func(_ context.Context, records []kissmetrics.Record) error {
					if len(asked) == 1 {
						return unavailable(records, tt.after)
					}
					cancel()
					return nil
				}))
				err := r.deliverAll(ctx, &hand{
					ctx:   ctx,
					next:  func() *handed { m := messages[0]; messages = messages[1:]; return m },
					taken: func() { asked = append(asked, time.Since(began)) },
				}, func(bool) {})
				require.ErrorIs(t, err, context.Canceled)
				assert.Equal(t, []time.Duration{0, tt.want}, asked)
				assert.Equal(t, []time.Duration{tt.want}, first.given)
				assert.True(t, second.acked)
			})
		})
	}
}

func TestAnOutageIsNotAnsweredWithAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		asked := 0
		r := testRelay(sendFunc(func(_ context.Context, records []kissmetrics.Record) error {
			return unavailable(records, 0)
		}))
		err := r.deliverAll(ctx, &hand{ctx: ctx, next: func() *handed { return newHanded(t, 1) }, taken: func() { asked++ }}, func(bool) {})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		// Waits of up to 30 seconds, 15 on average, make 240 attempts an hour.
		assert.Less(t, asked, 400)
		assert.Greater(t, asked, 120, "it goes on trying")
	})
}

func TestALongDeliveryShowsThatItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRelay(sendFunc(func(context.Context, []kissmetrics.Record) error {
			time.Sleep(10 * time.Minute)
			return nil
		}), WithAckWait(30*time.Second))
		done := make(chan struct{})
		var beating sync.WaitGroup
		beating.Go(func() { r.beat(done) })
		m := newHanded(t, 1)
		_, ok := r.deliver(t.Context(), m)
		assert.True(t, ok)
		assert.GreaterOrEqual(t, m.beaten(), 59, "three for each wait of the server's")
		time.Sleep(time.Hour)
		assert.LessOrEqual(t, m.beaten(), 60, "none once it is delivered")
		close(done)
		beating.Wait()
	})
}

func TestAMessageIsGivenBackAtOnceWhenTheRelayEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := testRelay(sendFunc(func(context.Context, []kissmetrics.Record) error {
		cancel()
		return ctx.Err()
	}), WithBackoff(time.Hour, time.Hour))
	m := newHanded(t, 1)
	_, ok := r.deliver(ctx, m)
	assert.False(t, ok)
	assert.Equal(t, []time.Duration{0}, m.given)
}

// parking is JetStream that counts what is stored in it.
type parking struct {
	jetstream.JetStream

	stored int
}

func (p *parking) PublishMsg(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	p.stored++
	return &jetstream.PubAck{}, nil
}

func (h *handed) TermWithReason(string) error { return nil }

func TestWhatIsRefusedOnItsWayIsParkedAfterADay(t *testing.T) {
	for _, tt := range []struct {
		age        time.Duration
		deliveries uint64
		kind       kissmetrics.FailureKind
		parked     int
	}{
		{time.Minute, 100, kissmetrics.FailureRefused, 0},
		{23 * time.Hour, 100, kissmetrics.FailureRefused, 0},
		{25 * time.Hour, 1, kissmetrics.FailureRefused, 0}, // there was no relay
		{25 * time.Hour, 49, kissmetrics.FailureRefused, 0},
		{25 * time.Hour, 50, kissmetrics.FailureRefused, 1},
		{25 * time.Hour, 100, kissmetrics.FailureUnavailable, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			js := &parking{}
			r := testRelay(sendFunc(func(_ context.Context, records []kissmetrics.Record) error {
				return &kissmetrics.DeliveryError{Kind: tt.kind, StatusCode: 403, Undelivered: records}
			}))
			r.js = js
			r.domain.Store(new("")) // of the acknowledgements
			m := newHanded(t, tt.deliveries)
			m.stored = time.Now().Add(-tt.age)
			_, ok := r.deliver(t.Context(), m)
			assert.Equal(t, tt.parked, js.stored, "%v, %d, %v", tt.age, tt.deliveries, tt.kind)
			assert.Equal(t, tt.parked > 0, ok)
			assert.Len(t, m.given, 1-tt.parked)
		})
	}
}

func TestARelayWithoutMessagesSaysSoNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines counter
		r := testRelay(nil, WithLogger(slog.New(&lines)))
		for range 60 { // a minute, as several workers would
			for range 8 {
				r.warn(t.Context(), errors.New("why"))
			}
			time.Sleep(time.Second)
		}
		assert.Equal(t, 6, lines.n)
	})
}

// counter counts lines of a log.
type counter struct {
	slog.Handler

	n int
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(context.Context, slog.Record) error { c.n++; return nil }

// A stock has messages for all iterators of a relay, as many as there are, and then
// none for a while.
type stock struct {
	have    chan struct{}
	waiting atomic.Int32
}

// open is that of a relay.
func (s *stock) open(t *testing.T) func(context.Context) (jetstream.MessagesContext, error) {
	return func(context.Context) (jetstream.MessagesContext, error) { return &drawn{t: t, stock: s}, nil }
}

// drawn is an iterator over a stock.
type drawn struct {
	jetstream.MessagesContext
	*stock

	t       *testing.T
	drained bool
}

func (d *drawn) Next(...jetstream.NextOpt) (jetstream.Msg, error) {
	if d.drained {
		return nil, jetstream.ErrMsgIteratorClosed
	}
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	select {
	case <-d.have:
		return newHanded(d.t, 1), nil
	case <-time.After(leaveAfter): // its options cannot be read here
		return nil, context.DeadlineExceeded
	}
}

func (d *drawn) Drain() { d.drained = true }

func (d *drawn) Stop() {}

func TestARelayFindsOutHowManyDeliveriesToHaveUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ceiling = 64
		s := &stock{have: make(chan struct{})}
		var under, most, delivered atomic.Int32
		r := testRelay(sendFunc(func(context.Context, []kissmetrics.Record) error {
			n := under.Add(1)
			defer under.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(50 * time.Millisecond)
			delivered.Add(1)
			return nil
		}), WithWorkers(ceiling))
		r.open = s.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { assert.NoError(t, r.run(ctx)) })
		began := time.Now()
		for time.Since(began) < 10*time.Second {
			s.have <- struct{}{}
		}
		assert.EqualValues(t, ceiling, most.Load())
		assert.Greater(t, delivered.Load(), int32(10*8*20), "8 at once would be 160 a second")

		time.Sleep(10 * leaveAfter)
		synctest.Wait()
		assert.EqualValues(t, few, s.waiting.Load(), "workers that wait when there is nothing to do")
		s.have <- struct{}{}
		cancel()
		running.Wait()
	})
}

func TestASenderThatEndsItsGoroutineEndsNoRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stock{have: make(chan struct{})}
		delivered := make(chan struct{}, 100)
		calls := 0
		r := testRelay(sendFunc(func(context.Context, []kissmetrics.Record) error {
			if calls++; calls < 50 {
				runtime.Goexit()
			}
			delivered <- struct{}{}
			return nil
		}), WithWorkers(1))
		r.open = s.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { assert.NoError(t, r.run(ctx)) })
		for range 50 {
			s.have <- struct{}{}
		}
		<-delivered
		cancel()
		running.Wait()
		assert.Empty(t, r.underWay)
	})
}
