// River shows events that are committed in the transaction of what they tell of:
// a shop takes orders, some of which fail, and Kissmetrics hears of exactly those
// that exist. Two workers deliver, as they would on two machines.
//
//	go run ./examples/river
//
// It starts a PostgreSQL of its own, if PostgreSQL is installed, and deletes it at
// the end. With DATABASE_URL it uses that database, where it makes River's tables
// and, in a schema of its own that it drops at the end, a table of orders. It
// needs no account, for it brings a tracking server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/postgres"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// queue is the program's own, so that in a database with other jobs it works none
// of them.
const queue = "kissmetrics_example"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Getenv("DATABASE_URL"), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

// run is the program, less the process around it.
func run(ctx context.Context, databaseURL string, stdout io.Writer) (err error) {
	if databaseURL == "" {
		cluster, err := postgres.Start(ctx)
		if errors.Is(err, postgres.ErrNotInstalled) {
			return fmt.Errorf("%w, or give a database in DATABASE_URL", err)
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cluster.Remove()) }()
		databaseURL = cluster.URL("postgres")
	}
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrate(ctx, pool); err != nil {
		return err
	}
	defer func() {
		_, dropped := pool.Exec(context.WithoutCancel(ctx), `DROP SCHEMA kissmetrics_example CASCADE`)
		err = errors.Join(err, dropped)
	}()
	server := kissmetricstest.Start()
	defer server.Close()
	return shop(ctx, pool, server, stdout)
}

// migrate makes the tables: River's, and the shop's.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, `
		CREATE SCHEMA kissmetrics_example;
		CREATE TABLE kissmetrics_example.orders (id text PRIMARY KEY, total int NOT NULL CHECK (total > 0))`)
	return err
}

// shop takes the orders, waits until the workers have delivered, and tells what
// there is in the end.
func shop(ctx context.Context, pool *pgxpool.Pool, server *kissmetricstest.Server, stdout io.Writer) (err error) {
	next, err := kissmetrics.NewHTTPSender(
		kissmetrics.WithAPIKey("example"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1))
	if err != nil {
		return err
	}
	defer next.CloseIdleConnections()
	var client *river.Client[pgx.Tx]
	for range 2 { // on one machine or two
		var stop func() error
		if client, stop, err = startWorker(ctx, pool, next); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	sender, err := riverbox.New(client, riverbox.WithQueueName(queue))
	if err != nil {
		return err
	}
	for i, o := range []struct {
		id    string
		total int
	}{{"order-1", 25}, {"order-2", 40}, {"order-1", 99}, {"order-3", 0}, {"order-4", 15}} {
		at := time.Date(2026, time.March, 2, 9, i, 0, 0, time.UTC)
		outcome := "committed, with its event"
		switch err := takeOrder(ctx, pool, sender, o.id, o.total, at); {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errNoOrder):
			outcome = "rolled back, with its event"
		case err != nil:
			return err
		}
		if _, err := fmt.Fprintf(stdout, "%s over %2d: %s\n", o.id, o.total, outcome); err != nil {
			return err
		}
	}
	if err := awaitDelivery(ctx, pool); err != nil {
		return err
	}
	return tell(ctx, pool, server, stdout)
}

// startWorker starts a worker, as on a machine of its own.
func startWorker(ctx context.Context, pool *pgxpool.Pool, next kissmetrics.Sender) (*river.Client[pgx.Tx], func() error, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, riverbox.Worker(next))
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:                      map[string]river.QueueConfig{queue: {MaxWorkers: 4}},
		Workers:                     workers,
		RescueStuckJobsAfter:        5 * time.Minute,
		CancelledJobRetentionPeriod: -1,
		LeaderElectionDisabled:      true, // in a shared database the housekeeping is for the programs that own it
		Logger:                      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	ctx = context.WithoutCancel(ctx)
	stop := func() error { return client.StopAndCancel(ctx) }
	return client, stop, client.Start(ctx)
}

// errNoOrder says that there is no such order, nor will there be.
var errNoOrder = errors.New("the order was not taken")

// takeOrder commits an order and its event, both or neither.
func takeOrder(ctx context.Context, pool *pgxpool.Pool, sender *riverbox.Sender, id string, total int, at time.Time) error {
	records, _, err := kissmetrics.Transform(kissmetrics.Track{
		UserID:     "ada",
		Event:      "Order Completed",
		Properties: kissmetrics.Properties{"order_id": id, "revenue": total},
		Timestamp:  at,
	}, time.Time{}, kissmetrics.TransformOptions{})
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := sender.SendTx(ctx, tx, records); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO kissmetrics_example.orders VALUES ($1, $2)`, id, total); err != nil {
			return fmt.Errorf("%w: %w", errNoOrder, err) // which rolls back
		}
		return nil
	})
}

// awaitDelivery waits until nothing waits.
func awaitDelivery(ctx context.Context, pool *pgxpool.Pool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var waiting int
		err := pool.QueryRow(ctx, `SELECT count(*) FROM river_job WHERE queue = $1 AND finalized_at IS NULL`, queue).Scan(&waiting)
		if err != nil || waiting == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tell writes which orders there are, and which Kissmetrics has heard of.
func tell(ctx context.Context, pool *pgxpool.Pool, server *kissmetricstest.Server, stdout io.Writer) error {
	rows, err := pool.Query(ctx, `SELECT id FROM kissmetrics_example.orders ORDER BY id`)
	if err != nil {
		return err
	}
	orders, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var heard []string
	for _, e := range server.Events("ada") {
		heard = append(heard, e.Properties["order_id"])
	}
	_, err = fmt.Fprintf(stdout, "\norders in the database:      %v\norders Kissmetrics knows of: %v\n", orders, heard)
	return err
}
