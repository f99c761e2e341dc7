// River shows events that are committed in the transaction of what they tell of:
// a shop takes orders, some of which fail, and Kissmetrics hears of exactly those
// that exist. Two relays deliver, as they would on two machines.
//
//	go run ./examples/river
//
// It starts a PostgreSQL of its own, if PostgreSQL is installed, and deletes it at
// the end. With DATABASE_URL it uses that database, where it makes a schema with
// River's tables and one of orders, which it drops at the end. It needs no account,
// because it brings a tracking server.
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
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"golang.org/x/sync/errgroup"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/postgres"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// schema is the program's own, so that it meets no other River jobs.
const schema = "kissmetrics_example"

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
		_, dropped := pool.Exec(context.WithoutCancel(ctx), "DROP SCHEMA "+schema+" CASCADE")
		err = errors.Join(err, dropped)
	}()
	server := kissmetricstest.Start()
	defer server.Close()
	return shop(ctx, pool, server, stdout)
}

// migrate makes the tables: River's, and the shop's.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler), Schema: schema})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, "CREATE TABLE "+schema+".orders (id text PRIMARY KEY, total int NOT NULL CHECK (total > 0))")
	return err
}

// shop takes the orders, waits until the relays have delivered, and tells what
// there is in the end.
func shop(ctx context.Context, pool *pgxpool.Pool, server *kissmetricstest.Server, stdout io.Writer) (err error) {
	next, err := kissmetrics.NewHTTPSender(
		kissmetrics.WithAPIKey("example"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		return err
	}
	defer next.CloseIdleConnections()
	sender, err := riverbox.New(ctx, pool, riverbox.WithSchema(schema))
	if err != nil {
		return err
	}
	var relays errgroup.Group
	for range 2 { // on one machine or two
		relays.Go(func() error { return sender.Run(ctx, next) })
	}
	defer func() {
		err = errors.Join(err, sender.Close(context.WithoutCancel(ctx)), relays.Wait())
	}()
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
	if err := sender.Flush(ctx); err != nil {
		return err
	}
	return tell(ctx, pool, server, stdout)
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
		if _, err := tx.Exec(ctx, "INSERT INTO "+schema+".orders VALUES ($1, $2)", id, total); err != nil {
			return fmt.Errorf("%w: %w", errNoOrder, err) // which rolls back
		}
		return nil
	})
}

// tell writes which orders there are, and which Kissmetrics has heard of.
func tell(ctx context.Context, pool *pgxpool.Pool, server *kissmetricstest.Server, stdout io.Writer) error {
	rows, err := pool.Query(ctx, "SELECT id FROM "+schema+".orders ORDER BY id")
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
