package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
)

// BenchmarkNetwork delivers events by a queue with its default options to a server
// that answers as late as one beyond a network does. A round begins with a new
// queue, which has to find out how many requests to have under way, and lasts for
// 10 seconds (1 with -benchtime 1x).
//
//	go test -C bench -run '^$' -bench Network -benchtime 3x .
//
// To compare with another commit, run it there as well: this file, internal/rig and
// the lines of TestMain are all that it needs.
func BenchmarkNetwork(b *testing.B) {
	for _, kind := range []string{"0s", "50ms", "200ms"} {
		b.Run(kind, func(b *testing.B) {
			url, results := rig.StartServer(b, kind), series{}
			for b.Loop() {
				busy := rig.CPU(b)
				delivered, elapsed, memory := deliverFor(b, url, rig.Round())
				results.add("records/s", float64(delivered)/elapsed.Seconds())
				results.add("cpu-µs/record", float64((rig.CPU(b)-busy).Microseconds())/float64(delivered))
				results.add("MiB-resident", float64(memory)/(1<<20))
			}
			results.report(b)
		})
	}
}

// BenchmarkQuota delivers for longer to a server that takes 200 records a second,
// and reports how many of those went through and how many requests were refused,
// after the first 10 seconds.
func BenchmarkQuota(b *testing.B) {
	warmUp, during := 10*time.Second, 60*time.Second
	if rig.Size(10) == 1 {
		warmUp, during = 3*time.Second, 3*time.Second
	}
	for _, kind := range []string{"200/s 1ms", "200/s 50ms"} {
		b.Run(kind, func(b *testing.B) {
			url, results := rig.StartServer(b, kind), series{}
			for b.Loop() {
				var servedBefore, refusedBefore int
				timer := time.AfterFunc(warmUp, func() { servedBefore, refusedBefore, _ = rig.Counts(b, url) })
				deliverFor(b, url, warmUp+during)
				timer.Stop()
				served, refused, _ := rig.Counts(b, url)
				served, refused = served-servedBefore, refused-refusedBefore
				results.add("%of-quota", 100*float64(served)/(200*during.Seconds()))
				results.add("%refused", 100*float64(refused)/float64(served+refused))
			}
			results.report(b)
		})
	}
}

// deliverFor tracks and delivers events for some time, and returns how many were
// delivered in which time, and the memory of the process at the end of it.
func deliverFor(b *testing.B, url string, during time.Duration, options ...kissmetrics.Option) (delivered int64, elapsed time.Duration, memory int) {
	all := []kissmetrics.Option{
		kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(url),
		kissmetrics.WithQueue(kissmetrics.WithFullPolicy(kissmetrics.FullWait), kissmetrics.WithCapacity(10_000, 64<<20)),
	}
	client, err := kissmetrics.New(append(all, options...)...)
	require.NoError(b, err)
	start := time.Now()
	ctx, cancel := context.WithTimeout(b.Context(), during)
	defer cancel()
	for i := 0; ctx.Err() == nil; i++ {
		event := track()
		event.UserID = fmt.Sprintf("user-%d", i)
		if err := client.Track(ctx, event); err != nil && ctx.Err() == nil {
			b.Fatal(err)
		}
	}
	delivered, elapsed, memory = client.Stats().Delivered, time.Since(start), resident(b)
	_ = client.Close(ctx)
	return delivered, elapsed, memory
}
