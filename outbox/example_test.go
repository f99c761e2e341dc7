package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// exampleFile returns the path of a file in a new directory, and what deletes that.
func exampleFile(name string) (path string, remove func()) {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, name), func() { _ = os.RemoveAll(dir) }
}

// A client whose messages are on the disk before its calls return, and the relay
// that delivers them.
func Example() {
	ctx := context.Background()
	server := kissmetricstest.Start() // in place of Kissmetrics
	defer server.Close()
	path, remove := exampleFile("outbox.db")
	defer remove()

	box, err := outbox.Open(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	client, err := kissmetrics.New(kissmetrics.WithSender(box))
	if err != nil {
		log.Fatal(err)
	}
	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer next.CloseIdleConnections()
	running := make(chan error)
	go func() { running <- box.Run(ctx, next) }() // once the program has started

	err = client.Track(ctx, kissmetrics.Track{UserID: "ada", Event: "Signed Up"})
	fmt.Println("stored:", err == nil)

	// An end in order, though none is needed: what is left is delivered when the
	// program starts again.
	if err := box.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered:", server.Events("ada")[0].Name)
	fmt.Println(box.Close(ctx), "-", <-running)
	// Output:
	// stored: true
	// delivered: Signed Up
	// <nil> - kissmetrics: closed
}

// exampleParked returns an outbox in which a record is parked.
func exampleParked(ctx context.Context, path string) *outbox.Outbox {
	box, err := outbox.Open(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	if err := box.Send(ctx, []kissmetrics.Record{record("Signed Up")}); err != nil {
		log.Fatal(err)
	}
	exampleDeliver(ctx, box, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{
			Kind: kissmetrics.FailureRefused, Attempts: 1, Refused: slices.Clone(records), Reason: "signing up is not tracked",
		}
	}))
	return box
}

// exampleDeliver delivers what is stored.
func exampleDeliver(ctx context.Context, box *outbox.Outbox, next kissmetrics.Sender) {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- box.Run(running, next) }()
	if err := box.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}

// What was refused for good is listed with the reason, and can be delivered again
// when that is gone.
func ExampleOutbox_Parked() {
	ctx := context.Background()
	path, remove := exampleFile("outbox.db")
	defer remove()
	box := exampleParked(ctx, path)
	defer func() { _ = box.Close(ctx) }()

	for parked, err := range box.Parked(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(parked.Records[0])
		fmt.Println(parked.Reason)
		if err := box.Requeue(ctx, parked.ID); err != nil {
			log.Fatal(err)
		}
	}
	var next kissmetricstest.Recorder
	exampleDeliver(ctx, box, &next)
	fmt.Println("delivered:", len(next.Records()))
	// Output:
	// event "Signed Up" with 2 properties
	// kissmetrics: delivery refused: signing up is not tracked (1 attempt; 0 of 1 records delivered)
	// delivered: 1
}

// What was refused for good can be forgotten.
func ExampleOutbox_Delete() {
	ctx := context.Background()
	path, remove := exampleFile("outbox.db")
	defer remove()
	box := exampleParked(ctx, path)
	defer func() { _ = box.Close(ctx) }()

	for parked, err := range box.Parked(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(box.Delete(ctx, parked.ID))
		fmt.Println(box.Delete(ctx, parked.ID))
	}
	// Output:
	// <nil>
	// outbox: no such record is parked
}

// The counts say whether the relay keeps up.
func ExampleOutbox_Stats() {
	ctx := context.Background()
	path, remove := exampleFile("outbox.db")
	defer remove()
	box, err := outbox.Open(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = box.Close(ctx) }()
	if err := box.Send(ctx, []kissmetrics.Record{record("Signed Up"), record("Paid")}); err != nil {
		log.Fatal(err)
	}
	stats, err := box.Stats(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.Waiting, "wait, the oldest for less than a minute:", time.Since(stats.Oldest) < time.Minute)

	var next kissmetricstest.Recorder
	exampleDeliver(ctx, box, &next)
	stats, err = box.Stats(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.Waiting, "wait,", stats.Delivered, "were delivered,", stats.Parked, "are parked")
	// Output:
	// 2 wait, the oldest for less than a minute: true
	// 0 wait, 2 were delivered, 0 are parked
}

// A bound on what may wait refuses what is new. It never drops what was accepted.
func ExampleWithMaxRecords() {
	ctx := context.Background()
	path, remove := exampleFile("outbox.db")
	defer remove()
	box, err := outbox.Open(ctx, path, outbox.WithMaxRecords(2))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = box.Close(ctx) }()
	fmt.Println(box.Send(ctx, []kissmetrics.Record{record("Signed Up"), record("Paid")}))
	fmt.Println(errors.Is(box.Send(ctx, []kissmetrics.Record{record("Left")}), outbox.ErrFull))
	// Output:
	// <nil>
	// true
}

// An order and the event that tells of it are stored together or not at all.
func ExampleOutbox_SendTx() {
	ctx := context.Background()
	path, remove := exampleFile("shop.db")
	defer remove()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := outbox.Migrate(ctx, db); err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE orders (id TEXT PRIMARY KEY)"); err != nil {
		log.Fatal(err)
	}
	box, err := outbox.Open(ctx, path, outbox.WithSharedFile())
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = box.Close(ctx) }()

	order := func(id string) error {
		records, _, err := kissmetrics.Transform(kissmetrics.Track{
			UserID: "ada", Event: "Order Completed", Timestamp: time.Unix(1_700_000_000, 0),
		}, time.Time{}, kissmetrics.TransformOptions{})
		if err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if err := box.SendTx(ctx, tx, records); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders VALUES (?)", id); err != nil {
			return err
		}
		return tx.Commit()
	}
	fmt.Println(order("1") == nil, order("1") == nil)
	stats, err := box.Stats(ctx)
	fmt.Println(stats.Waiting, err)
	// Output:
	// true false
	// 1 <nil>
}
