package kissmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// dice decide what goes wrong.
type dice struct{ *trial.Dice }

// fault is what may go wrong with a request; a request in two passes.
func (d dice) fault(*http.Request) *kissmetricstest.Fault {
	recorded := d.Below(2) == 0
	switch d.Below(16) {
	case 0:
		return &kissmetricstest.Fault{Status: 503, Recorded: recorded}
	case 1:
		if d.Below(8) > 0 { // more would teach the queue that it is too fast
			return nil
		}
		return &kissmetricstest.Fault{Status: 429, RetryAfter: "0"}
	case 2:
		return &kissmetricstest.Fault{Status: 408}
	case 3:
		return &kissmetricstest.Fault{Status: 403}
	case 4:
		return &kissmetricstest.Fault{Cut: kissmetricstest.CutReset, Recorded: recorded}
	case 5:
		return &kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Recorded: recorded}
	case 6, 7:
		return &kissmetricstest.Fault{Delay: d.UpTo(3 * time.Millisecond)}
	}
	return nil
}

// network loses a request in twenty.
func (d dice) network(r *http.Request) (*http.Response, error) {
	if d.Below(20) == 0 { // a server that is not there
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A ledger has what the queue said of every record: at the call, and later.
type ledger struct {
	accepted atomic.Int64
	keys     sync.Map // of the records that were accepted

	mu   sync.Mutex
	told map[string][]error
}

func (l *ledger) note(_ context.Context, r kissmetrics.Record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[recordKey(r)] = append(l.told[recordKey(r)], err)
}

// TestConservationUnderStress has many producers, a server and a network that
// fail at random, and a Close at a random moment, and requires that the books
// balance at every moment, that every record gets one outcome, and that the
// outcome is true.
func TestConservationUnderStress(t *testing.T) {
	const room = 100
	d, rounds := dice{trial.NewDice(t)}, trial.Rounds(1, 20)
	server := kissmetricstest.NewServer(t)
	server.FailWith(d.fault)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for name, policy := range map[string]kissmetrics.FullPolicy{
		"refuse": kissmetrics.FullRefuse, "wait": kissmetrics.FullWait, "drop oldest": kissmetrics.FullDropOldest,
	} {
		for round := range rounds {
			name := fmt.Sprintf("%s %d", name, round)
			t.Run(name, func(t *testing.T) {
				l := &ledger{told: map[string][]error{}}
				client, err := kissmetrics.New(kissmetrics.WithAPIKey("k"), kissmetrics.WithBaseURL(server.URL),
					kissmetrics.WithDoer(kissmetrics.DoerFunc(d.network)),
					kissmetrics.WithBackoff(time.Millisecond, 4*time.Millisecond), kissmetrics.WithTimeout(50*time.Millisecond),
					kissmetrics.WithQueue(kissmetrics.WithCapacity(room, 1<<20), kissmetrics.WithFullPolicy(policy), kissmetrics.WithOnResult(l.note)))
				require.NoError(t, err)
				undelivered := l.run(t, d, client, name, room)
				counted := l.check(t, server)
				stats := client.Stats()
				t.Logf("%+v %v", stats, counted)
				assert.Equal(t, l.accepted.Load(), stats.Accepted)
				assert.Zero(t, stats.Waiting)
				assert.Zero(t, stats.WaitingBytes)
				assert.EqualValues(t, stats.Delivered, counted["delivered"])
				assert.EqualValues(t, stats.Failed, counted["failed"])
				assert.EqualValues(t, stats.Dropped, counted["closed"]+counted["full"])
				assert.Len(t, undelivered, counted["closed"])
				for _, r := range undelivered {
					require.ErrorIs(t, l.told[recordKey(r)][0], kissmetrics.ErrClosed)
				}
				if policy != kissmetrics.FullDropOldest {
					assert.Zero(t, counted["full"])
				}
			})
		}
	}
	for _, ignored := range server.Ignored() { // a repeat is harmless
		assert.Contains(t, []kissmetricstest.Reason{kissmetricstest.ReasonDuplicateEvent, kissmetricstest.ReasonDuplicateValue}, ignored.Reason)
	}
}

// run has producers track until the client is closed, which is at some time, and
// returns what Close handed back.
func (l *ledger) run(t *testing.T, d dice, client *kissmetrics.Client, name string, room int) []kissmetrics.Record {
	const producers = 32
	var running, watching sync.WaitGroup
	enough := make(chan struct{})
	deliveries := int64(50 + d.Below(100))
	for p := range producers {
		running.Go(func() { l.produce(t, d, client, name+"-"+strconv.Itoa(p)) })
	}
	watching.Go(func() {
		defer close(enough)
		// At a random moment, and soon: a queue that was told 429 too often is slow.
		for begin := time.Now(); client.Stats().Delivered < deliveries && time.Since(begin) < 2*time.Second; {
			requireBalanced(t, client.Stats(), room)
			<-time.After(50 * time.Microsecond)
		}
	})
	<-enough
	watching.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), d.UpTo(20*time.Millisecond))
	defer cancel()
	err := client.Close(ctx)
	running.Wait()
	if err == nil {
		return nil
	}
	return requireUndelivered(t, err).Records
}

func requireBalanced(t *testing.T, s kissmetrics.Stats, room int) {
	assert.Equal(t, s.Accepted, s.Delivered+s.Failed+s.Dropped+s.Waiting, "%+v", s)
	assert.GreaterOrEqual(t, s.Waiting, int64(0))
	assert.LessOrEqual(t, s.Waiting, int64(room))
}

// produce tracks until the client is closed. Half of the messages have one
// record, the others three.
func (l *ledger) produce(t *testing.T, d dice, client *kissmetrics.Client, person string) {
	for i := 0; ; i++ {
		message := kissmetrics.Track{UserID: person + "-" + strconv.Itoa(i), Event: "e", Timestamp: second}
		if i%2 == 0 {
			message.Properties = order.Properties
		}
		<-time.After(d.UpTo(4 * time.Millisecond)) // or most are refused
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := client.Track(ctx, message)
		cancel()
		switch {
		case errors.Is(err, kissmetrics.ErrClosed):
			return
		case err != nil:
			continue
		}
		records, _, _ := kissmetrics.Transform(message, time.Time{}, kissmetrics.TransformOptions{})
		l.accepted.Add(int64(len(records)))
		for _, r := range records {
			l.keys.Store(recordKey(r), true)
		}
	}
}

// check requires that every record has one outcome, and that it is true. It
// returns how many have which.
func (l *ledger) check(t *testing.T, server *kissmetricstest.Server) map[string]int {
	counted := map[string]int{}
	for key, errs := range l.told {
		require.Len(t, errs, 1, key)
		_, known := l.keys.Load(key)
		require.True(t, known, "%q was not accepted", key)
		switch err := errs[0]; {
		case err == nil:
			counted["delivered"]++
			require.True(t, arrived(server, key), "%q was not delivered", key)
		case errors.Is(err, kissmetrics.ErrClosed):
			counted["closed"]++
		case errors.Is(err, kissmetrics.ErrQueueFull):
			counted["full"]++
		default:
			require.NoError(t, err, "what is refused on its way is tried again")
		}
	}
	return counted
}

// recordKey tells the records of the stress test apart.
func recordKey(r kissmetrics.Record) string {
	var key strings.Builder
	key.WriteString(r.Person + "/")
	for _, p := range r.Properties {
		key.WriteString(p.Value)
	}
	return key.String()
}

// arrived reports whether the server has the record of a key.
func arrived(server *kissmetricstest.Server, key string) bool {
	person, sku, _ := strings.Cut(key, "/")
	if sku == "" {
		return len(server.Events(person)) == 1
	}
	return slices.ContainsFunc(server.History(person, "sku"), func(v kissmetricstest.Value) bool { return v.Value == sku })
}
