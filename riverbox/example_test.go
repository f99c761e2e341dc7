package riverbox_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// examplePool returns a pool on a new database.
func examplePool(ctx context.Context) *pgxpool.Pool {
	name := "example" + strconv.FormatInt(databases.Add(1), 10)
	if err := execute(ctx, shared, "CREATE DATABASE "+name); err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, shared.URL(name))
	if err != nil {
		log.Fatal(err)
	}
	return pool
}

// A client whose messages are committed before its calls return, and a worker
// that delivers them.
func Example() {
	ctx := context.Background()
	server := kissmetricstest.Start() // in place of Kissmetrics
	defer server.Close()
	pool := examplePool(ctx) // pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	defer pool.Close()

	// River's tables, once: the same as `river migrate-up`.
	quiet := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		log.Fatal(err)
	}

	// The worker, in this program or another, on as many machines as you like.
	next, err := kissmetrics.NewHTTPSender(
		kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer next.CloseIdleConnections()
	sender, err := riverbox.New(ctx, pool)
	if err != nil {
		log.Fatal(err)
	}
	relay, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(relay, next) }()

	client, err := kissmetrics.New(kissmetrics.WithSender(sender))
	if err != nil {
		log.Fatal(err)
	}
	err = client.Track(ctx, kissmetrics.Track{UserID: "user-1", Event: "Signed Up"})
	fmt.Println("committed:", err == nil)

	if err := sender.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered:", server.Events("user-1")[0].Name)
	stop()
	fmt.Println("the relay ended:", <-ended)
	// Output:
	// committed: true
	// delivered: Signed Up
	// the relay ended: <nil>
}

// A program with River jobs of its own works the records by its own River client.
func ExampleNewWorker() {
	ctx := context.Background()
	pool, sender := exampleSender(ctx)
	defer pool.Close()
	server := kissmetricstest.Start() // in place of Kissmetrics
	defer server.Close()
	next, err := kissmetrics.NewHTTPSender(
		kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer next.CloseIdleConnections()

	workers := river.NewWorkers()
	river.AddWorker(workers, riverbox.NewWorker(sender, next)) // and the program's own
	riverClient, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:                      map[string]river.QueueConfig{riverbox.Queue: {MaxWorkers: 8}},
		Workers:                     workers,
		RescueStuckJobsAfter:        5 * time.Minute,
		CancelledJobRetentionPeriod: -1,
		Logger:                      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := riverClient.Start(ctx); err != nil {
		log.Fatal(err)
	}
	if err := sender.Send(ctx, events("user-1", 1)); err != nil {
		log.Fatal(err)
	}
	if err := sender.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(server.Events("user-1")[0].Name)
	if err := riverClient.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: Event 0
}

// exampleSender returns a sender on a new database with River's tables.
func exampleSender(ctx context.Context) (*pgxpool.Pool, *riverbox.Sender) {
	pool := examplePool(ctx)
	quiet := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		log.Fatal(err)
	}
	sender, err := riverbox.New(ctx, pool)
	if err != nil {
		log.Fatal(err)
	}
	return pool, sender
}

// An order and its event are committed together, or not at all.
func ExampleSender_SendTx() {
	ctx := context.Background()
	pool, sender := exampleSender(ctx)
	defer pool.Close()
	if _, err := pool.Exec(ctx, `CREATE TABLE orders (id text PRIMARY KEY)`); err != nil {
		log.Fatal(err)
	}
	order := func(id string) error {
		records, _, err := kissmetrics.Transform(
			kissmetrics.Track{UserID: "user-1", Event: "Order Completed", Properties: kissmetrics.Properties{"order_id": id}}, time.Now(),
			kissmetrics.TransformOptions{},
		)
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := sender.SendTx(ctx, tx, records); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO orders VALUES ($1)`, id)
			return err
		})
	}
	fmt.Println("first:", order("o-17") == nil)
	fmt.Println("again:", order("o-17") == nil) // there is such an order

	stats, err := sender.Stats(ctx)
	fmt.Println("stored:", stats.Waiting, err)
	// Output:
	// first: true
	// again: false
	// stored: 1 <nil>
}

// What was refused for good is listed, and deleted or tried again.
func ExampleSender_Parked() {
	ctx := context.Background()
	pool, sender := exampleSender(ctx)
	defer pool.Close()
	refusing := senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, StatusCode: 400, Refused: records}
	})
	if err := sender.Send(ctx, events("user-1", 1)); err != nil {
		log.Fatal(err)
	}
	relay, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(relay, refusing) }()
	if err := sender.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}

	for parked, err := range sender.Parked(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(parked.Records[0])
		fmt.Println(parked.Reason)
		fmt.Println("requeued:", sender.Requeue(ctx, parked.ID) == nil)
	}
	// Output:
	// event "Event 0" with 0 properties
	// kissmetrics: delivery refused (1 attempt; 0 of 1 records delivered)
	// requeued: true
}

// A program that sends to two products of Kissmetrics has a queue for each.
func ExampleWithQueueName() {
	ctx := context.Background()
	pool, shop := exampleSender(ctx)
	defer pool.Close()
	blog, err := riverbox.New(ctx, pool, riverbox.WithQueueName("kissmetrics_blog"))
	if err != nil {
		log.Fatal(err)
	}
	for _, sender := range []*riverbox.Sender{shop, blog, blog} { // the third is a repeat
		if err := sender.Send(ctx, events("user-1", 1)); err != nil {
			log.Fatal(err)
		}
	}
	for _, sender := range []*riverbox.Sender{shop, blog} {
		stats, err := sender.Stats(ctx)
		fmt.Println(stats.WaitingMessages, err)
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
}
