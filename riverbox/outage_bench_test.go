package riverbox_test

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// BenchmarkOutage has 1,000 messages wait while the server answers 503 to all that
// Run sends with its default options. An iteration is a second. It reports how many
// requests came a second, in all of them and in the last tenth, and how long the last
// message takes when the server is back.
func BenchmarkOutage(b *testing.B) {
	pool, err := pgxpool.New(b.Context(), newDatabase(b))
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	sender, err := riverbox.New(b.Context(), pool)
	require.NoError(b, err)
	for i := range 1000 {
		require.NoError(b, sender.Send(b.Context(), events("person-"+strconv.Itoa(i), 1)))
	}
	var requests atomic.Int64
	server := kissmetricstest.NewServer(b)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		requests.Add(1)
		return &kissmetricstest.Fault{Status: http.StatusServiceUnavailable}
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(ctx, httpSender(b, server)) }()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	counts := []int64{0}
	for b.Loop() {
		<-second.C
		counts = append(counts, requests.Load())
	}
	back := time.Now()
	server.FailWith(nil)
	require.NoError(b, sender.Flush(b.Context()))
	n := len(counts) - 1
	tenth := max(1, n/10)
	b.ReportMetric(float64(counts[n])/float64(n), "requests/s")
	b.ReportMetric(float64(counts[n]-counts[n-tenth])/float64(tenth), "requests/s-at-last")
	b.ReportMetric(time.Since(back).Seconds(), "s-until-the-last")
	b.ReportMetric(0, "ns/op") // a second
	stop()
	require.NoError(b, <-ended)
}
