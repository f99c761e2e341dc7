package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// An order and the event that tells of it are stored together or not at all.
func ExampleOutbox_SendTx() {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, path := context.Background(), filepath.Join(dir, "shop.db")
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
	box, err := outbox.Open(path, outbox.WithSharedFile())
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = box.Close(ctx) }()

	order := func(id string) error {
		records, err := kissmetrics.Transform(kissmetrics.Track{
			UserID: "ada", Event: "Order Completed", Timestamp: time.Unix(1_700_000_000, 0),
		}, kissmetrics.TransformOptions{})
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
