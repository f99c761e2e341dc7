package kissmetrics_test

import (
	"context"
	"errors"
	"math/rand/v2"
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
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// randomFault is what may go wrong with a request; a request in two passes.
func randomFault(*http.Request) *kissmetricstest.Fault {
	recorded := rand.IntN(2) == 0
	switch rand.IntN(16) {
	case 0:
		return &kissmetricstest.Fault{Status: 503, Recorded: recorded}
	case 1:
		return &kissmetricstest.Fault{Status: 429, RetryAfter: "0"}
	case 2:
		return &kissmetricstest.Fault{Status: 408}
	case 3:
		return &kissmetricstest.Fault{Status: 400}
	case 4:
		return &kissmetricstest.Fault{Cut: kissmetricstest.CutReset, Recorded: recorded}
	case 5:
		return &kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Recorded: recorded}
	case 6, 7:
		return &kissmetricstest.Fault{Delay: time.Duration(rand.IntN(int(3 * time.Millisecond)))}
	}
	return nil
}

// TestConservationUnderStress has 64 producers, a server and a network that
// fail at random, and a Close at a random moment, and requires that the
// books balance at every moment, that every record gets one outcome, and that
// the outcome is true.
func TestConservationUnderStress(t *testing.T) {
	const producers, room = 64, 400
	server := kissmetricstest.NewServer(t)
	server.FailWith(randomFault)
	doer := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
		if rand.IntN(20) == 0 { // a server that is not there
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)

	for name, policy := range map[string]kissmetrics.FullPolicy{
		"refuse": kissmetrics.FullRefuse, "wait": kissmetrics.FullWait, "drop oldest": kissmetrics.FullDropOldest,
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			told := map[string][]error{}
			client, err := kissmetrics.New(kissmetrics.WithAPIKey("k"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithDoer(doer),
				kissmetrics.WithBackoff(time.Millisecond, 4*time.Millisecond), kissmetrics.WithTimeout(2*time.Millisecond),
				kissmetrics.WithQueue(kissmetrics.WithCapacity(room, 1<<20), kissmetrics.WithFullPolicy(policy),
					kissmetrics.WithOnResult(func(_ context.Context, r kissmetrics.Record, err error) {
						mu.Lock()
						defer mu.Unlock()
						told[recordKey(r)] = append(told[recordKey(r)], err)
					})))
			require.NoError(t, err)

			// Half of the messages have one record, the others three.
			var accepted, refused atomic.Int64
			var keys sync.Map
			var running sync.WaitGroup
			watching := make(chan struct{})
			for p := range producers {
				running.Go(func() {
					for i := 0; ; i++ {
						person := name + "-" + strconv.Itoa(p) + "-" + strconv.Itoa(i)
						message := kissmetrics.Track{UserID: person, Event: "e", Timestamp: second}
						if i%2 == 0 {
							message.Properties = order.Properties
						}
						<-time.After(time.Duration(rand.IntN(int(4 * time.Millisecond)))) // or most are refused
						ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
						err := client.Track(ctx, message)
						cancel()
						if errors.Is(err, kissmetrics.ErrClosed) {
							return
						}
						if err != nil {
							refused.Add(1)
							continue
						}
						records, _, _ := kissmetrics.Transform(message, time.Time{}, kissmetrics.TransformOptions{})
						accepted.Add(int64(len(records)))
						for _, r := range records {
							keys.Store(recordKey(r), true)
						}
					}
				})
			}
			var watcher sync.WaitGroup
			watcher.Go(func() {
				for {
					select {
					case <-watching:
						return
					default:
						s := client.Stats()
						if !assert.Equal(t, s.Accepted, s.Delivered+s.Failed+s.Dropped+s.Waiting, "%+v", s) ||
							!assert.GreaterOrEqual(t, s.Waiting, int64(0)) || !assert.LessOrEqual(t, s.Waiting, int64(room)) {
							return
						}
					}
				}
			})
			someTime := int64(100 + rand.IntN(300))
			require.Eventually(t, func() bool { return client.Stats().Delivered >= someTime }, time.Minute, time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(int(20*time.Millisecond))))
			err = client.Close(ctx)
			cancel()
			running.Wait()
			close(watching)
			watcher.Wait()

			stats := client.Stats()
			t.Logf("%+v, %d messages refused", stats, refused.Load())
			assert.Equal(t, accepted.Load(), stats.Accepted)
			assert.Zero(t, stats.Waiting)
			assert.Zero(t, stats.WaitingBytes)
			requireConserved(t, stats)
			assert.Positive(t, stats.Delivered)

			counted := map[string]int{}
			for key, errs := range told {
				require.Len(t, errs, 1, key)
				_, known := keys.Load(key)
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
					counted["failed"]++
					require.Equal(t, 400, requireDelivery(t, err).StatusCode)
				}
			}
			assert.EqualValues(t, stats.Delivered, counted["delivered"])
			assert.EqualValues(t, stats.Failed, counted["failed"])
			assert.EqualValues(t, stats.Dropped, counted["closed"]+counted["full"])
			undelivered := 0
			if err != nil {
				undelivered = len(requireUndelivered(t, err).Records)
				for _, r := range requireUndelivered(t, err).Records {
					require.ErrorIs(t, told[recordKey(r)][0], kissmetrics.ErrClosed)
				}
			}
			assert.Equal(t, counted["closed"], undelivered)
			assert.Equal(t, policy == kissmetrics.FullDropOldest, counted["full"] > 0)
		})
	}
	for _, ignored := range server.Ignored() { // a repeat is harmless
		assert.Contains(t, []kissmetricstest.Reason{kissmetricstest.ReasonDuplicateEvent, kissmetricstest.ReasonDuplicateValue}, ignored.Reason)
	}
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
