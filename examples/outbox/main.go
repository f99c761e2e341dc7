// Outbox shows a shop that loses no event: it commits each order together with
// the event that tells of it, in one SQLite file. The program starts the shop as
// another process, kills it while it takes orders, starts it again, and compares
// what is in the file with what Kissmetrics has heard of.
//
//	go run ./examples/outbox
//
// It needs no account, for it brings a tracking server.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// What the shop's own process finds in its environment.
const (
	fileVariable   = "OUTBOX_EXAMPLE_FILE"
	serverVariable = "OUTBOX_EXAMPLE_SERVER"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := start(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "outbox:", err)
		os.Exit(1)
	}
}

// start is the shop where it is to be one, and else the program around it.
func start(ctx context.Context, stdout io.Writer) error {
	if path := os.Getenv(fileVariable); path != "" {
		return shop(ctx, path, os.Getenv(serverVariable), stdout)
	}
	return run(ctx, stdout)
}

// run kills a shop twice, delivers what is left, and compares.
func run(ctx context.Context, stdout io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "shop.db")
	server := kissmetricstest.Start()
	defer server.Close()
	for range 2 {
		if err := killed(ctx, path, server.URL); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(stdout, "the shop was killed while it took orders"); err != nil {
			return err
		}
	}
	orders, err := deliver(ctx, path, server.URL)
	if err != nil {
		return err
	}
	heard := make(map[string]bool)
	for _, e := range server.Events("ada") {
		heard[e.Name] = true
	}
	missing := 0
	for _, id := range orders {
		if !heard["Order "+id] {
			missing++
		}
	}
	_, err = fmt.Fprintf(stdout, "at least 20 orders: %t; events missing: %d; events too many: %d\n",
		len(orders) >= 20, missing, len(heard)+missing-len(orders))
	return err
}

// killed starts the shop and kills it after it has taken ten orders.
func killed(ctx context.Context, path, url string) error {
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), fileVariable+"="+path, serverVariable+"="+url)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(stdout)
	taken := 0
	for taken < 10 && lines.Scan() {
		taken++
	}
	err = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if taken < 10 {
		return errors.Join(errors.New("the shop has ended by itself"), err, ctx.Err())
	}
	return err
}

// open opens the shop's file, and makes the tables that are missing.
func open(ctx context.Context, path string) (*sql.DB, *outbox.Outbox, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, nil, err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY)")
	if err == nil {
		err = outbox.Migrate(ctx, db)
	}
	if err == nil {
		var box *outbox.Outbox
		if box, err = outbox.Open(ctx, path, outbox.WithSharedFile()); err == nil {
			return db, box, nil
		}
	}
	return nil, nil, errors.Join(err, db.Close())
}

// shop takes orders, and delivers, until it is killed.
func shop(ctx context.Context, path, url string, stdout io.Writer) (err error) {
	db, box, err := open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(context.WithoutCancel(ctx)), db.Close()) }()
	stop, err := relay(ctx, box, url)
	if err != nil {
		return err
	}
	defer stop()
	for n := 0; ctx.Err() == nil; n++ {
		id := strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(n)
		if err := takeOrder(ctx, db, box, id); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(stdout, id); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// relay delivers what is stored. What it returns stops that, and waits.
func relay(ctx context.Context, box *outbox.Outbox, url string) (stop func(), err error) {
	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("example"), kissmetrics.WithBaseURL(url))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = box.Run(ctx, next) }) // it ends with ctx
	return func() { cancel(); running.Wait(); next.CloseIdleConnections() }, nil
}

// takeOrder commits an order and its event, both or neither.
func takeOrder(ctx context.Context, db *sql.DB, box *outbox.Outbox, id string) error {
	records, _, err := kissmetrics.Transform(kissmetrics.Track{
		// Of a person, Kissmetrics takes one event of a name in a second; here one
		// person orders far more often than that.
		UserID: "ada", Event: "Order " + id,
		Timestamp: time.Now(),
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

// deliver starts again, delivers what is left, and returns the orders that there are.
func deliver(ctx context.Context, path, url string) (orders []string, err error) {
	db, box, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, box.Close(context.WithoutCancel(ctx)), db.Close()) }()
	stop, err := relay(ctx, box, url)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := box.Flush(ctx); err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT id FROM orders")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		orders = append(orders, id)
	}
	return orders, rows.Err()
}
