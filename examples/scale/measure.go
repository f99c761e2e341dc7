package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// workers is how many messages are sent, or delivered, at once.
const workers = 64

// measure measures what one machine does, for a time each.
func measure(ctx context.Context, long time.Duration) (m measured, err error) {
	directory, err := os.MkdirTemp("", "scale")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	urls, stop, err := startServers(directory)
	if err != nil {
		return m, err
	}
	defer stop()
	connection, err := nats.Connect(urls, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		return m, err
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		return m, err
	}
	senders := make([]*natsbox.Sender, 5)
	for i := range senders {
		if senders[i], err = newSender(ctx, js, "S"+strconv.Itoa(i)); err != nil {
			return m, err
		}
	}
	if m.storedOne, err = store(ctx, senders[:1], long); err != nil {
		return m, err
	}
	if m.storedFour, err = store(ctx, senders[1:], long); err != nil {
		return m, err
	}
	stats, err := senders[0].Stats(ctx)
	if err != nil {
		return m, err
	}
	m.storedBytes = float64(stats.WaitingBytes) / float64(stats.WaitingMessages)
	m.relayed, m.requestBytes, err = relay(ctx, senders, long)
	return m, err
}

// startServers starts a cluster of three servers within this process.
func startServers(directory string) (urls string, stop func(), err error) {
	var routes []*url.URL
	var ports [3]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
		if err != nil {
			return "", nil, err
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		_ = l.Close()
	}
	var servers []*server.Server
	stop = func() {
		for _, s := range servers {
			s.Shutdown()
			s.WaitForShutdown()
		}
	}
	for i, port := range ports {
		name := "n" + strconv.Itoa(i+1)
		s, err := server.NewServer(&server.Options{
			ServerName: name, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(directory, name), JetStreamMaxStore: 8 << 30, SyncAlways: true,
			Cluster: server.ClusterOpts{Name: "scale", Host: "127.0.0.1", Port: port}, Routes: routes,
		})
		if err != nil {
			stop()
			return "", nil, err
		}
		servers = append(servers, s)
		go s.Start()
	}
	for i, s := range servers {
		if !s.ReadyForConnections(20 * time.Second) {
			stop()
			return "", nil, fmt.Errorf("server n%d is not ready", i+1)
		}
		if i > 0 {
			urls += ","
		}
		urls += s.ClientURL()
	}
	return urls, stop, nil
}

// newSender creates a stream as soon as the cluster has a leader. A request that
// comes before is not answered.
func newSender(ctx context.Context, js jetstream.JetStream, name string) (*natsbox.Sender, error) {
	create := func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return natsbox.CreateStreams(ctx, js, 512<<20, natsbox.WithStream(name))
	}
	err := create()
	for begin := time.Now(); err != nil && time.Since(begin) < time.Minute && ctx.Err() == nil; {
		err = create()
	}
	if err != nil {
		return nil, err
	}
	return natsbox.New(ctx, js, natsbox.WithStream(name), natsbox.WithSyncUnchecked(), natsbox.WithWorkers(workers))
}

// store returns how many messages a second the senders store.
func store(ctx context.Context, senders []*natsbox.Sender, long time.Duration) (float64, error) {
	var stored, next atomic.Int64
	var failed error
	var once sync.Once
	var all sync.WaitGroup
	begin := time.Now()
	for i := range workers {
		sender := senders[i%len(senders)]
		all.Go(func() {
			for time.Since(begin) < long {
				if err := sender.Send(ctx, []kissmetrics.Record{event(next.Add(1))}); err != nil {
					once.Do(func() { failed = err })
					return
				}
				stored.Add(1)
			}
		})
	}
	all.Wait()
	return float64(stored.Load()) / time.Since(begin).Seconds(), failed
}

// relay returns how many messages a second a process relays, and how large their
// requests are.
func relay(ctx context.Context, senders []*natsbox.Sender, long time.Duration) (rate, requestBytes float64, err error) {
	var requests, bytes atomic.Int64
	tracking := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			dump, _ := httputil.DumpRequest(r, true)
			bytes.Store(int64(len(dump)))
		}
	}))
	defer tracking.Close()
	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("scale"), kissmetrics.WithBaseURL(tracking.URL))
	if err != nil {
		return 0, 0, err
	}
	defer next.CloseIdleConnections()
	var waiting int64
	for _, sender := range senders {
		stats, err := sender.Stats(ctx)
		if err != nil {
			return 0, 0, err
		}
		waiting += stats.WaitingMessages
	}
	relaying, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(senders))
	var all sync.WaitGroup
	for i, sender := range senders {
		all.Go(func() { errs[i] = sender.Run(relaying, next) })
	}
	count := func(long time.Duration, most int64) (rate float64) {
		begin, before := time.Now(), requests.Load()
		for time.Since(begin) < long && requests.Load() < most && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return float64(requests.Load()-before) / time.Since(begin).Seconds()
	}
	count(20*time.Second, min(500, waiting/2)) // until the consumers have leaders, and connections are open
	rate = count(long, math.MaxInt64)
	stop()
	all.Wait()
	return rate, float64(bytes.Load()), errors.Join(errs...)
}

// event returns an event of a usual size, like no other.
func event(n int64) kissmetrics.Record {
	return kissmetrics.Record{
		Kind: kissmetrics.KindEvent, Person: "person-" + strconv.FormatInt(n, 10) + "@example.com", Name: "Order Completed",
		Time: time.Unix(1_700_000_000, 0), Properties: []kissmetrics.Property{
			{Name: "Billing Amount", Value: "129.95", Literal: true},
			{Name: "coupon", Value: "SPRING"},
			{Name: "currency", Value: "EUR"},
			{Name: "order_id", Value: "order-" + strconv.FormatInt(n, 10)},
			{Name: "revenue", Value: "129.95", Literal: true},
		},
	}
}
