// Rate shows how a queue finds out how many requests to have under way, at a server
// that answers within 50 ms, then has too much to do, and then recovers.
//
//	go run ./examples/rate
//
// The server is part of the program, so that it needs no account and no network.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/kissmetrics-go/kissmetrics"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A phase is how the server behaves for some time.
type phase struct {
	name    string
	lasts   time.Duration
	atATime int64 // requests that it works on at a time; the others wait
}

func phases() []phase {
	return []phase{
		{"answers take 50 ms", 2 * time.Second, places},
		{"the server works on 20 requests at a time; the others wait for their turn", 3 * time.Second, 20},
		{"the server has recovered", 7 * time.Second, places},
	}
}

func run(ctx context.Context, out io.Writer) error {
	server := newServer(50 * time.Millisecond)
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey("0123456789abcdef0123456789abcdef01234567"),
		kissmetrics.WithTransport(server),
		kissmetrics.WithQueue(kissmetrics.WithFullPolicy(kissmetrics.FullWait), kissmetrics.WithCapacity(5_000, 64<<20)),
	)
	if err != nil {
		return err
	}
	producing, stop := context.WithCancel(ctx)
	defer stop()
	var producer sync.WaitGroup
	producer.Go(func() { produce(producing, client) })

	err = show(ctx, out, client, server)
	stop()
	producer.Wait()
	if err := errors.Join(err, client.Close(ctx)); err != nil {
		return err
	}
	stats := client.Stats()
	_, err = fmt.Fprintf(out, "\n%d events accepted, %d delivered, %d lost\n", stats.Accepted, stats.Delivered, stats.Failed+stats.Dropped)
	return err
}

// produce sends events, each of a person of its own, as fast as the queue has room.
func produce(ctx context.Context, client *kissmetrics.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		_ = client.Track(ctx, kissmetrics.Track{UserID: fmt.Sprintf("user-%d", i), Event: "Viewed Product"})
	}
}

// show prints, twice a second, how many events are delivered.
func show(ctx context.Context, out io.Writer, client *kissmetrics.Client, server *server) error {
	const every = 500 * time.Millisecond
	before := client.Stats().Delivered
	for _, p := range phases() {
		if err := server.work(ctx, p.atATime); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "\n%s\n", p.name)
		for range p.lasts / every {
			time.Sleep(every)
			delivered := client.Stats().Delivered
			rate := int(float64(delivered-before) / every.Seconds())
			before = delivered
			_, _ = fmt.Fprintf(out, "%6d a second, %3d requests under way  %s\n", rate, server.most(), strings.Repeat("#", min(rate/80, 60)))
		}
	}
	return nil
}

// A server works on some requests at a time, each for as long as an answer takes.
// The others wait for their turn, in the order in which they came.
type server struct {
	answersAfter time.Duration
	places       *semaphore.Weighted
	taken        int64 // places that nobody has

	mu       sync.Mutex
	underWay int
	peak     int // of what is under way, since most was called
}

const places = 1000

func newServer(answersAfter time.Duration) *server {
	return &server{answersAfter: answersAfter, places: semaphore.NewWeighted(places)}
}

// RoundTrip implements [http.RoundTripper].
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.count(1)
	defer s.count(-1)
	if err := s.places.Acquire(r.Context(), 1); err != nil {
		return nil, err
	}
	defer s.places.Release(1)
	select {
	case <-time.After(s.answersAfter):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
}

// work sets how many requests the server works on at a time.
func (s *server) work(ctx context.Context, atATime int64) error {
	s.places.Release(s.taken)
	s.taken = places - atATime
	return s.places.Acquire(ctx, s.taken)
}

func (s *server) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay += n
	s.peak = max(s.peak, s.underWay)
}

// most returns the most requests under way since the last call.
func (s *server) most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	peak := s.peak
	s.peak = s.underWay
	return peak
}
