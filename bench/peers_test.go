package bench

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
	"github.com/posthog/posthog-go"
	rudder "github.com/rudderlabs/analytics-go/v4"
	"github.com/segmentio/analytics-go/v3"
	"github.com/stretchr/testify/require"
)

// A subject is a client that takes events at once and delivers them later.
type subject struct {
	track     func() error
	close     func() error // delivers what is left
	delivered func() int64 // how many events
}

// requireAll delivers what is left, and requires that all was delivered.
func (s subject) requireAll(tb testing.TB, events int) {
	require.NoError(tb, s.close())
	require.EqualValues(tb, events, s.delivered())
}

func ours(tb testing.TB, doer kissmetrics.Doer, url string, options ...kissmetrics.QueueOption) subject {
	client := newClient(tb, doer, url, options...)
	return subject{
		track:     func() error { return client.Track(tb.Context(), track()) },
		close:     func() error { return client.Close(context.Background()) },
		delivered: func() int64 { return client.Stats().Delivered },
	}
}

func postHog(tb testing.TB, transport http.RoundTripper, url string) subject {
	delivered := &counter[posthog.APIMessage]{}
	client, err := posthog.NewWithConfig("test-api-key", posthog.Config{Endpoint: url, Transport: transport, Callback: delivered, Logger: quiet{}})
	require.NoError(tb, err)
	return subject{
		track: func() error {
			return client.Enqueue(posthog.Capture{DistinctId: user, Event: event, Properties: properties})
		},
		close:     client.Close,
		delivered: delivered.successes.Load,
	}
}

func segment(tb testing.TB, transport http.RoundTripper, url string) subject {
	delivered := &counter[analytics.Message]{}
	client, err := analytics.NewWithConfig("test-api-key", analytics.Config{Endpoint: url, Transport: transport, Callback: delivered, Logger: quiet{}})
	require.NoError(tb, err)
	return subject{
		track: func() error {
			return client.Enqueue(analytics.Track{UserId: user, Event: event, Properties: properties})
		},
		close:     client.Close,
		delivered: delivered.successes.Load,
	}
}

func rudderStack(tb testing.TB, transport http.RoundTripper, url string) subject {
	delivered := &counter[rudder.Message]{}
	client, err := rudder.NewWithConfig("test-api-key", rudder.Config{DataPlaneUrl: url, Transport: transport, Callback: delivered, Logger: quiet{}})
	require.NoError(tb, err)
	return subject{
		track: func() error {
			return client.Enqueue(rudder.Track{UserId: user, Event: event, Properties: properties})
		},
		close:     client.Close,
		delivered: delivered.successes.Load,
	}
}

// peers are the other clients.
var peers = map[string]func(tb testing.TB, transport http.RoundTripper, url string) subject{
	"PostHog":     postHog,
	"RudderStack": rudderStack,
	"Segment":     segment,
}

// nowhere is the URL for a transport that goes nowhere.
const nowhere = "http://127.0.0.1"

// counter is told of every event that was delivered.
type counter[M any] struct{ successes atomic.Int64 }

func (c *counter[M]) Success(M)        { c.successes.Add(1) }
func (c *counter[M]) Failure(M, error) {}

type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Logf(string, ...any)   {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// readAtOnce reads a request's body, as a transport does, and answers.
func readAtOnce(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return nil, err
		}
		if err := request.Body.Close(); err != nil {
			return nil, err
		}
	}
	return atOnce(request)
}

// round has one caller track events as fast as it is let, until all are
// delivered.
type round struct {
	rate   float64 // events a second, until the last is delivered
	p99    float64 // of the calls, in seconds
	allocs float64 // an event, of the whole process
	bytes  float64 // allocated an event, the same
	cpu    float64 // seconds an event, the same
}

func measure(b *testing.B, s subject, calls []time.Duration) round {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	busy, start := rig.CPU(b), time.Now()
	for i := range calls {
		called := time.Now()
		if err := s.track(); err != nil {
			b.Fatal(err)
		}
		calls[i] = time.Since(called)
	}
	s.requireAll(b, len(calls))
	took, worked := time.Since(start), rig.CPU(b)-busy
	runtime.ReadMemStats(&after)
	slices.Sort(calls)
	n := float64(len(calls))
	return round{
		rate:   n / took.Seconds(),
		p99:    calls[len(calls)*99/100].Seconds(),
		allocs: float64(after.Mallocs-before.Mallocs) / n,
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
		cpu:    worked.Seconds() / n,
	}
}

// BenchmarkPeers tracks one event again and again by this package's client with
// a queue, by PostHog's, RudderStack's and Segment's, in turn, over transports that answer
// at once, and reports the medians of the ratios, ours to theirs. All that was
// accepted is delivered within the time, or the benchmark fails. Ours makes a
// request for every event, for that is the tracking API; theirs one for 250.
//
// "defaults" leaves all as they come. In "same room" ours holds no more than
// theirs do by default, 100 events and a batch of 250, and so has the caller
// wait as they have.
func BenchmarkPeers(b *testing.B) {
	for _, test := range []struct {
		name    string
		options []kissmetrics.QueueOption
	}{
		{name: "defaults"},
		{name: "same room", options: []kissmetrics.QueueOption{kissmetrics.WithCapacity(350, 64<<20)}},
	} {
		b.Run(test.name, func(b *testing.B) {
			calls := make([]time.Duration, rig.Size(20_000))
			ratios := series{}
			for b.Loop() {
				us := measure(b, ours(b, kissmetrics.DoerFunc(readAtOnce), nowhere, test.options...), calls)
				ratios.add("allocs/event", us.allocs)
				for name, newPeer := range peers {
					them := measure(b, newPeer(b, roundTripper(readAtOnce), nowhere), calls)
					ratios.add("events/s:"+name, us.rate/them.rate)
					ratios.add("p99:"+name, us.p99/them.p99)
					ratios.add("allocs:"+name, us.allocs/them.allocs)
					ratios.add("bytes:"+name, us.bytes/them.bytes)
					ratios.add("cpu:"+name, us.cpu/them.cpu)
					ratios.add("allocs/event:"+name, them.allocs)
				}
			}
			ratios.report(b)
		})
	}
}

// BenchmarkPeersNetwork has one producer track events for 10 seconds as fast as it
// is let (1 second with -benchtime 1x), by each of the clients in turn with their
// default options, and reports how many a second were delivered to a server that
// answers after 50 milliseconds.
func BenchmarkPeersNetwork(b *testing.B) {
	url, results := rig.StartServer(b, "50ms"), series{}
	for b.Loop() {
		subjects := map[string]subject{"ours": ours(b, nil, url, kissmetrics.WithCapacity(10_000, 64<<20))}
		for name, newPeer := range peers {
			subjects[name] = newPeer(b, http.DefaultTransport, url)
		}
		for name, s := range subjects {
			busy, start := rig.CPU(b), time.Now()
			tracked := 0
			for ; time.Since(start) < rig.Round(); tracked++ {
				require.NoError(b, s.track())
			}
			require.NoError(b, s.close())
			results.add("events/s:"+name, float64(s.delivered())/time.Since(start).Seconds())
			results.add("cpu-µs/event:"+name, float64((rig.CPU(b)-busy).Microseconds())/float64(s.delivered()))
			results.add("%lost:"+name, 100*float64(int64(tracked)-s.delivered())/float64(tracked))
		}
	}
	http.DefaultClient.CloseIdleConnections()
	results.report(b)
}

// TestPeersSendTheSame holds the subjects to what BenchmarkPeers takes for
// granted: each sends every event, with all of its properties.
func TestPeersSendTheSame(t *testing.T) {
	const events = 600
	var mu sync.Mutex
	var sent []map[string]string
	note := func(name string, values map[string]string) {
		mu.Lock()
		defer mu.Unlock()
		values["event"] = name
		sent = append(sent, values)
	}
	want := map[string]string{
		"event": event, "user": user, "plan": "professional", "source": "newsletter", "path": "/docs/getting-started?utm_source=newsletter",
		"referrer": "https://www.example.com/", "seats": "12", "price": "49.5", "trial": "true", "currency": "EUR",
	}
	subjects := map[string]func(tb testing.TB) subject{
		"ours": func(tb testing.TB) subject {
			return ours(tb, kissmetrics.DoerFunc(func(request *http.Request) (*http.Response, error) {
				values := map[string]string{}
				query := request.URL.Query()
				for name := range query {
					values[name] = query.Get(name)
				}
				values["user"] = values["_p"]
				maps.DeleteFunc(values, func(name, _ string) bool { return name[0] == '_' })
				note(query.Get("_n"), values)
				return atOnce(request)
			}), nowhere)
		},
	}
	batches := roundTripper(func(request *http.Request) (*http.Response, error) {
		var body struct {
			Batch []struct {
				Event      string         `json:"event"`
				DistinctID string         `json:"distinct_id"` // PostHog
				UserID     string         `json:"userId"`      // RudderStack, Segment
				Properties map[string]any `json:"properties"`
			} `json:"batch"`
		}
		reader := request.Body
		if request.Header.Get("Content-Encoding") == "gzip" { // RudderStack
			unzipped, err := gzip.NewReader(reader)
			if err != nil {
				return nil, err
			}
			reader = unzipped
		}
		if err := json.NewDecoder(reader).Decode(&body); err != nil {
			return nil, err
		}
		for _, e := range body.Batch {
			values := map[string]string{"user": cmp.Or(e.DistinctID, e.UserID)}
			for name, value := range e.Properties {
				if name[0] != '$' {
					text, _ := json.Marshal(value)
					values[name] = string(text)
					if s, ok := value.(string); ok {
						values[name] = s
					}
				}
			}
			note(e.Event, values)
		}
		return atOnce(request)
	})
	for name, newPeer := range peers {
		subjects[name] = func(tb testing.TB) subject { return newPeer(tb, batches, nowhere) }
	}
	for name, newSubject := range subjects {
		t.Run(name, func(t *testing.T) {
			sent = nil
			s := newSubject(t)
			for range events {
				require.NoError(t, s.track())
			}
			s.requireAll(t, events)
			require.Len(t, sent, events)
			for _, values := range sent {
				require.Equal(t, want, values)
			}
		})
	}
}
