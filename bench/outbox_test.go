package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// order returns a record of about 300 bytes.
func order(i int) kissmetrics.Record {
	return kissmetrics.Record{
		Kind: kissmetrics.KindEvent, Person: fmt.Sprintf("person-%d", i%1000), Name: fmt.Sprintf("Order %d", i),
		Time: time.Unix(1_700_000_000, 0).UTC(),
		Properties: []kissmetrics.Property{
			{Name: "Billing Amount", Value: "129.95", Literal: true},
			{Name: "address", Value: "12 Long Street, London, United Kingdom"},
			{Name: "order_id", Value: "order-2026-000000017"},
			{Name: "products", Value: "MUG-1,TEE-4,PIN-9"},
			{Name: "referrer", Value: "https://example.com/campaign/spring?source=newsletter"},
			{Name: "shipping", Value: "express"},
		},
	}
}

// A bareLog appends lines to a file, syncs, and does so for all who wait at once.
type bareLog struct {
	file *os.File
	jobs chan bareJob
}

type bareJob struct {
	line []byte
	done chan error
}

func (l *bareLog) run() {
	for job := range l.jobs {
		batch, data := []bareJob{job}, append([]byte(nil), job.line...)
		for more := true; more; {
			select {
			case job, ok := <-l.jobs:
				if more = ok; ok {
					batch, data = append(batch, job), append(data, job.line...)
				}
			default:
				more = false
			}
		}
		_, err := l.file.Write(data)
		if err == nil {
			err = l.file.Sync()
		}
		for _, job := range batch {
			job.done <- err
		}
	}
}

// BenchmarkOutboxSend has 16 producers send to an outbox and to a bare log, in
// blocks that alternate.
func BenchmarkOutboxSend(b *testing.B) {
	const producers, each = 16, 40
	dir := b.TempDir()
	box, err := outbox.Open(b.Context(), filepath.Join(dir, "outbox.db"))
	require.NoError(b, err)
	file, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(b, err)
	bare := &bareLog{file: file, jobs: make(chan bareJob, producers)}
	var writing sync.WaitGroup
	writing.Go(bare.run)
	produce := func(send func(r kissmetrics.Record) error) time.Duration {
		start := time.Now()
		var work sync.WaitGroup
		for p := range producers {
			work.Go(func() {
				for i := range each {
					if err := send(order(p*each + i)); err != nil {
						b.Error(err)
					}
				}
			})
		}
		work.Wait()
		return time.Since(start)
	}
	var ours, theirs time.Duration
	for b.Loop() {
		ours += produce(func(r kissmetrics.Record) error { return box.Send(b.Context(), []kissmetrics.Record{r}) })
		theirs += produce(func(r kissmetrics.Record) error {
			line, err := r.MarshalJSON()
			if err != nil {
				return err
			}
			job := bareJob{line, make(chan error, 1)}
			bare.jobs <- job
			return <-job.done
		})
	}
	b.ReportMetric(100*theirs.Seconds()/ours.Seconds(), "%of-bare-log")
	close(bare.jobs)
	writing.Wait()
	require.NoError(b, file.Close())
	require.NoError(b, box.Close(context.Background()))
}

// BenchmarkOutboxRelay delivers the same from an outbox and from a queue, to one
// server, in blocks that alternate; the ratios are the medians of theirs. With a
// server that is a process of its own, the processor time is that of delivering
// alone. With kissmetricstest it includes the server's, whatever delivers.
//
// The queue is given records that are ready, while the outbox makes its own of what
// is stored. Where records are made, the making of the queue's counts, too; so it
// was measured in commit 00faf94.
func BenchmarkOutboxRelay(b *testing.B) {
	b.Run("server=own process", func(b *testing.B) { relay(b, rig.StartServer(b, "0s"), ready) })
	b.Run("server=kissmetricstest", func(b *testing.B) { relay(b, kissmetricstest.NewServer(b).URL, ready) })
	b.Run("server=kissmetricstest records=made", func(b *testing.B) { relay(b, kissmetricstest.NewServer(b).URL, made) })
}

// ready returns a function that returns the orders from first on, which are there.
func ready(first, n int) func(i int) []kissmetrics.Record {
	orders := make([][]kissmetrics.Record, n)
	for i := range orders {
		orders[i] = made(first, n)(i)
	}
	return func(i int) []kissmetrics.Record { return orders[i] }
}

// made returns a function that makes the orders from first on when they are asked for.
func made(first, _ int) func(i int) []kissmetrics.Record {
	return func(i int) []kissmetrics.Record { return []kissmetrics.Record{order(first + i)} }
}

func relay(b *testing.B, url string, prepare func(first, n int) func(i int) []kissmetrics.Record) {
	const records = 8_000
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(url))
	require.NoError(b, err)
	defer sender.CloseIdleConnections()
	box, err := outbox.Open(b.Context(), filepath.Join(b.TempDir(), "outbox.db"))
	require.NoError(b, err)
	results := series{}
	n := 0
	for b.Loop() {
		var filling sync.WaitGroup
		for range 16 {
			first := n
			n += records / 16
			filling.Go(func() {
				for i := range records / 16 {
					if err := box.Send(b.Context(), []kissmetrics.Record{order(first + i)}); err != nil {
						b.Error(err)
					}
				}
			})
		}
		filling.Wait()
		runtime.GC()
		busy, start := rig.CPU(b), time.Now()
		ctx, cancel := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = box.Run(ctx, sender) })
		require.NoError(b, box.Flush(b.Context()))
		ours, oursBusy := time.Since(start), rig.CPU(b)-busy
		cancel()
		running.Wait()

		next := prepare(n, records)
		n += records
		runtime.GC()
		busy, start = rig.CPU(b), time.Now()
		queue, err := kissmetrics.NewQueue(sender)
		require.NoError(b, err)
		for i := range records {
			require.NoError(b, queue.Send(b.Context(), next(i)))
		}
		require.NoError(b, queue.Close(b.Context()))
		theirs, theirsBusy := time.Since(start), rig.CPU(b)-busy
		results.add("%of-queue", 100*theirs.Seconds()/ours.Seconds())
		results.add("cpu:queue", oursBusy.Seconds()/theirsBusy.Seconds())
		results.add("cpu-µs/record", oursBusy.Seconds()*1e6/records)
		results.add("queue-cpu-µs/record", theirsBusy.Seconds()*1e6/records)
	}
	results.report(b)
	require.NoError(b, box.Close(context.Background()))
}

// A quota is a sender that takes records, and says when it has taken so many.
type quota struct {
	left atomic.Int64
	done func()
}

func (c *quota) Send(_ context.Context, records []kissmetrics.Record) error {
	if c.left.Add(-int64(len(records))) <= 0 {
		c.done()
	}
	return nil
}

// BenchmarkOutboxBacklog reopens an outbox in which many records wait, up to a
// million, and delivers 10,000 of them. It says how long the opening took, and
// what the process has in memory afterwards, SQLite's included. With -short
// there is no million.
func BenchmarkOutboxBacklog(b *testing.B) {
	for _, backlog := range []int{20_000, 1_000_000} {
		if backlog > 20_000 && testing.Short() {
			break
		}
		b.Run(fmt.Sprintf("waiting=%d", backlog), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "outbox.db")
			box, err := outbox.Open(b.Context(), path)
			require.NoError(b, err)
			n := 0
			fill := func(records int) {
				var filling sync.WaitGroup
				for range 64 {
					first := n
					n += records / 64
					filling.Go(func() {
						for i := range records / 64 {
							if err := box.Send(b.Context(), []kissmetrics.Record{order(first + i)}); err != nil {
								b.Error(err)
							}
						}
					})
				}
				filling.Wait()
			}
			fill(backlog)
			require.NoError(b, box.Close(context.Background()))
			debug.FreeOSMemory()
			var opening time.Duration
			var most int
			for b.Loop() {
				start := time.Now()
				box, err = outbox.Open(b.Context(), path)
				require.NoError(b, err)
				opening += time.Since(start)
				ctx, cancel := context.WithCancel(b.Context())
				next := &quota{done: cancel}
				next.left.Store(10_000)
				require.NoError(b, box.Run(ctx, next))
				most = max(most, resident(b))
				fill(10_000)
				require.NoError(b, box.Close(context.Background()))
			}
			b.ReportMetric(opening.Seconds()/float64(b.N), "s/open")
			b.ReportMetric(float64(most)/(1<<20), "MiB-resident")
		})
	}
}

// resident returns how many bytes of memory the process has, as Linux counts.
func resident(b *testing.B) (bytes int) {
	status, err := os.ReadFile("/proc/self/statm")
	require.NoError(b, err)
	var size, pages int
	_, err = fmt.Sscan(string(status), &size, &pages)
	require.NoError(b, err)
	return pages * os.Getpagesize()
}
