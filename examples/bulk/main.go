// Bulk shows the path of files from end to end: a shop whose records go to an S3
// bucket, an object an hour; Kissmetrics, which imports them and loses three records;
// an export; and a reconciliation that says which.
//
//	go run ./examples/bulk
//	go run ./examples/bulk -speed 100
//
// It plays a day, an hour in a second, or with -speed 100 as fast as that. It needs no
// account, for it brings an S3 server and a tracking server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

func main() {
	speed := flag.Float64("speed", 3600, "how many times as fast as a real day")
	flag.Parse()
	if !(*speed > 0) || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *speed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bulk:", err)
		os.Exit(1)
	}
}

// run plays a day, and compares what was sent with what arrived.
func run(ctx context.Context, stdout io.Writer, speed float64) (err error) {
	dir, err := os.MkdirTemp("", "bulk")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bucket := newBucket()
	defer bucket.Close()
	archive := filepath.Join(dir, "archive")
	if err := day(ctx, stdout, filepath.Join(dir, "spool"), archive, bucket, speed); err != nil {
		return err
	}

	server := kissmetricstest.Start()
	defer server.Close()
	objects, err := bucket.importTo(ctx, server.URL, 3)
	if err != nil {
		return err
	}
	export := filepath.Join(dir, "export")
	if err := server.Export(export, kissmetricstest.ExportOptions{Gzip: true}); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "Kissmetrics imported %d objects, and exports what it has\n", objects); err != nil {
		return err
	}
	return compare(ctx, stdout, archive, export)
}

// day is the shop's. What it sends is archived, too.
func day(ctx context.Context, stdout io.Writer, spool, archive string, to *bucket, speed float64) (err error) {
	interval := time.Duration(float64(time.Hour) / speed)
	sender, err := bulk.Open(ctx, spool, to.where(), bulk.WithInterval(max(interval, time.Millisecond)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sender.Close(context.WithoutCancel(ctx))) }()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(running) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()

	archived, err := reconcile.NewArchive(archive, sender)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archived.Close(context.WithoutCancel(ctx))) }()
	client, err := kissmetrics.New(kissmetrics.WithSender(archived))
	if err != nil {
		return err
	}
	if err := open(ctx, client, speed); err != nil {
		return err
	}
	if err := client.Close(ctx); err != nil { // which flushes the last hour
		return err
	}
	stats, err := sender.Stats(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "a day of the shop: %d records are in the bucket, %d wait\n", stats.Delivered, stats.Waiting)
	return err
}

// compare prints what of the archive is not in the export.
func compare(ctx context.Context, stdout io.Writer, archive, export string) error {
	sent, err := reconcile.Open(archive)
	if err != nil {
		return err
	}
	exported, err := reconcile.Open(export)
	if err != nil {
		return err
	}
	r, err := reconcile.New()
	if err != nil {
		return err
	}
	for difference, err := range r.Differences(ctx, sent.Records(), exported.Records()) {
		if err != nil {
			return err
		}
		line, err := difference.Sent.MarshalJSON()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stdout, "%s: %s\n", difference.Kind, line); err != nil {
			return err
		}
	}
	counts := r.Counts()
	_, err = fmt.Fprintf(stdout, "sent %d, arrived %d, missing %d\n", counts.Sent, counts.Arrived, counts.Missing)
	return err
}
