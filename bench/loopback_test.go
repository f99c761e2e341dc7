package bench

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
	"github.com/stretchr/testify/require"
)

const workers = 8

// BenchmarkLoopback delivers events to a server on loopback, by as many workers
// each time, and reports the medians of how many a second the queue delivers, to
// how many a bare loop does whose requests are ready: "rate:timed" of a client
// that has the timeout that the queue gives every request, and "rate:untimed" of
// one that has none. The queue's time begins with the first call of Track, so
// that it pays for the transforms and for the waiting.
func BenchmarkLoopback(b *testing.B) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write(rig.Picture)
	}))
	defer server.Close()
	prepared := prepare(b, server.URL)
	timed, untimed := bareClient(10*time.Second), bareClient(0)
	defer timed.CloseIdleConnections()
	defer untimed.CloseIdleConnections()
	client := newClient(b, nil, server.URL, kissmetrics.WithWorkers(workers))
	queued := func(events int) {
		for range events {
			if err := client.Track(b.Context(), track()); err != nil {
				b.Fatal(err)
			}
		}
		if err := client.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	queue, records := newQueue(b, server.URL), transformed(b)
	ready := func(events int) {
		for range events {
			if err := queue.Send(b.Context(), records); err != nil {
				b.Fatal(err)
			}
		}
		if err := queue.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	ways := []func(int){
		queued,
		ready,
		func(events int) { bareLoop(b, timed, prepared, events) },
		func(events int) { bareLoop(b, untimed, prepared, events) },
	}
	events := rig.Size(2000)
	for _, way := range ways { // so that all have their connections
		way(events)
	}
	ratios, total := series{}, len(ways)*events
	for b.Loop() {
		rates, costs := make([]float64, len(ways)), make([]float64, len(ways))
		for i, way := range ways {
			busy, start := rig.CPU(b), time.Now()
			way(events)
			rates[i] = float64(events) / time.Since(start).Seconds()
			costs[i] = (rig.CPU(b) - busy).Seconds()
			total += events
		}
		for i, name := range []string{"", "ready:"} {
			ratios.add(name+"rate:timed", rates[i]/rates[2])
			ratios.add(name+"rate:untimed", rates[i]/rates[3])
			ratios.add(name+"cpu:timed", costs[i]/costs[2])
			ratios.add(name+"cpu:untimed", costs[i]/costs[3])
		}
	}
	require.EqualValues(b, total, served.Load())
	closeDelivered(b, client, total/len(ways))
	ratios.report(b)
}

// newQueue returns a queue that is fed with records.
func newQueue(b *testing.B, baseURL string) *kissmetrics.Queue {
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(baseURL))
	require.NoError(b, err)
	queue, err := kissmetrics.NewQueue(sender, kissmetrics.WithWorkers(workers))
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, queue.Close(context.Background()))
		sender.CloseIdleConnections()
	})
	return queue
}

// transformed returns the records of the event.
func transformed(b *testing.B) []kissmetrics.Record {
	records, _, err := kissmetrics.Transform(track(), time.Now(), kissmetrics.TransformOptions{})
	require.NoError(b, err)
	return records
}

// prepare returns the request that the queue makes of the event.
func prepare(b *testing.B, baseURL string) *http.Request {
	var prepared *http.Request
	doer := kissmetrics.DoerFunc(func(request *http.Request) (*http.Response, error) {
		prepared = request.Clone(context.Background())
		return atOnce(request)
	})
	client := newClient(b, doer, baseURL)
	require.NoError(b, client.Track(b.Context(), track()))
	closeDelivered(b, client, 1)
	return prepared
}

func bareClient(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}}
}

// bareLoop makes a request that is ready, again and again.
func bareLoop(b *testing.B, client *http.Client, prepared *http.Request, events int) {
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			request := prepared.Clone(context.Background()) // one a worker
			for taken.Add(1) <= int64(events) {
				response, err := client.Do(request)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	wg.Wait()
}
