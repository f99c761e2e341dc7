package natsbox_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// A server stores, and a relay, which may be another program, delivers.
func Example() {
	servers, stop := exampleServer()
	defer stop()
	tracking := kissmetricstest.Start() // in the place of Kissmetrics
	defer tracking.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	connection, err := nats.Connect(servers, nats.MaxReconnects(-1), nats.PingInterval(5*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		log.Fatal(err)
	}
	// One server for an example; in earnest, leave the options out, and give
	// WithSystemConn.
	single := []natsbox.Option{natsbox.WithReplicas(1), natsbox.WithSyncUnchecked()}
	if err := natsbox.CreateStreams(ctx, js, 1<<20, single...); err != nil {
		log.Fatal(err)
	}
	sender, err := natsbox.New(ctx, js, single...)
	if err != nil {
		log.Fatal(err)
	}

	client, err := kissmetrics.New(kissmetrics.WithSender(sender))
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Track(ctx, kissmetrics.Track{UserID: "user-1", Event: "Signed Up"}); err != nil {
		log.Fatal(err)
	}
	stats, err := sender.Stats(ctx)
	fmt.Println("waiting:", stats.Waiting, err)

	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(tracking.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer next.CloseIdleConnections()
	ended := make(chan error)
	go func() { ended <- sender.Run(ctx, next) }()
	for stats.Waiting > 0 && err == nil {
		stats, err = sender.Stats(ctx)
	}
	cancel()
	fmt.Println("waiting:", stats.Waiting, err)
	fmt.Println("the relay ended:", <-ended)
	fmt.Println("Kissmetrics knows:", tracking.Events("user-1")[0].Name)
	// Output:
	// waiting: 1 <nil>
	// waiting: 0 <nil>
	// the relay ended: <nil>
	// Kissmetrics knows: Signed Up
}

// exampleServer starts a server within this process.
func exampleServer() (url string, stop func()) {
	directory, err := os.MkdirTemp("", "natsbox")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: directory, NoLog: true, NoSigs: true, SyncAlways: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("the server is not ready")
	}
	return s.ClientURL(), func() {
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(directory)
	}
}

// The load of many events is shared by several streams, a person's events in one
// of them.
func ExampleWithStream_partitions() {
	partitions := make(partitioned, 4)
	for i := range partitions {
		// In earnest: natsbox.New(ctx, js, natsbox.WithStream(fmt.Sprintf("KISSMETRICS-%d", i)), …)
		partitions[i] = kissmetrics.Sender(printer(i))
	}
	client, err := kissmetrics.New(kissmetrics.WithSender(partitions))
	if err != nil {
		log.Fatal(err)
	}
	for _, person := range []string{"ada", "bob", "ada"} {
		if err := client.Track(context.Background(), kissmetrics.Track{UserID: person, Event: "Signed In"}); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// partition 3: ada
	// partition 0: bob
	// partition 3: ada
}

// partitioned is a Sender that has the records of a message stored in the
// partition of its person.
type partitioned []kissmetrics.Sender

func (p partitioned) Send(ctx context.Context, records []kissmetrics.Record) error {
	if len(records) == 0 {
		return nil
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(records[0].Person))
	return p[hash.Sum32()%uint32(len(p))].Send(ctx, records)
}

type printer int

func (p printer) Send(_ context.Context, records []kissmetrics.Record) error {
	fmt.Printf("partition %d: %s\n", int(p), records[0].Person)
	return nil
}
