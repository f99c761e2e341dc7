package kissmetrics_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// BenchmarkQueuedMemory queues 100,000 orders that nobody delivers, and reports
// what they take of the heap, beside the bytes of their query strings. It fails
// where "cost/limit" is above 1: the limit is 1.5 times those bytes, and 64 more
// for each order.
func BenchmarkQueuedMemory(b *testing.B) {
	const orders = 100_000
	product := map[string]any{"sku": "45790-32", "name": "Monopoly: 3rd Edition", "price": 19.5, "quantity": 1, "category": "Games"}
	for _, kind := range []struct {
		name     string
		products []any
	}{
		{name: "order"},
		{name: "order of 3 products", products: []any{product, product, product}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				reportQueuedMemory(b, orders, kind.products)
			}
			b.ReportMetric(0, "ns/op") // how long it takes is not what it is about
		})
	}
}

func reportQueuedMemory(b *testing.B, orders int, products []any) {
	queue, err := kissmetrics.NewQueue(stuckSender{}, kissmetrics.WithCapacity(10*orders, 1<<30))
	if err != nil {
		b.Fatal(err)
	}
	before := heapInUse()
	queries := 0
	for i := range orders {
		message := orderEvent()
		message.UserID = "user-" + strconv.Itoa(1_000_000+i)
		if products != nil {
			message.Properties["products"] = products
		}
		records, _, err := kissmetrics.Transform(message, time.Time{}, kissmetrics.TransformOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for j := range records {
			queries += len(records[j].Query("test-api-key"))
		}
		if err := queue.Send(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	cost := float64(heapInUse() - before)
	limit := 1.5*float64(queries) + 64*float64(orders)
	b.ReportMetric(cost/float64(orders), "bytes/order")
	b.ReportMetric(cost/float64(queries), "cost/queries")
	b.ReportMetric(cost/limit, "cost/limit")
	if cost > limit {
		b.Errorf("%.0f bytes for %d orders are more than %.0f", cost, orders, limit)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := queue.Close(ended); err == nil {
		b.Error("Close has delivered what nobody took")
	}
}

// heapInUse returns the bytes of all that is reachable.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// A stuckSender never takes anything.
type stuckSender struct{}

func (stuckSender) Send(ctx context.Context, _ []kissmetrics.Record) error {
	<-ctx.Done()
	return ctx.Err()
}
