package reconcile_test

import (
	"bufio"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

var lines = flag.Int("lines", 20_000, "how many lines a side BenchmarkDifferences compares")

// BenchmarkDifferences compares files of so many lines a side, of which one in a
// thousand is missing. It reports the lines of one side in a minute, and the peak of
// the memory that Go has from the system.
func BenchmarkDifferences(b *testing.B) {
	dir := b.TempDir()
	writeSides(b, dir, *lines)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(480 << 20))
	stop := peak()
	for b.Loop() {
		sent, err := reconcile.Open(filepath.Join(dir, "sent.json.gz"))
		require.NoError(b, err)
		exported, err := reconcile.Open(filepath.Join(dir, "exported.json.gz"))
		require.NoError(b, err)
		r, err := reconcile.New(reconcile.WithTempDir(dir))
		require.NoError(b, err)
		missing := 0
		for d, err := range r.Differences(b.Context(), sent.Records(), exported.Records()) {
			require.NoError(b, err)
			require.Equal(b, reconcile.Missing, d.Kind)
			missing++
		}
		require.Equal(b, (*lines+999)/1000, missing)
		require.EqualValues(b, *lines-missing, r.Counts().Arrived)
	}
	b.ReportMetric(float64(*lines)*60*float64(b.N)/b.Elapsed().Seconds(), "lines/min")
	b.ReportMetric(float64(stop())/(1<<20), "MiB")
}

// writeSides writes what was sent in the order of time, and what is exported in
// another, compressed as exports are.
func writeSides(tb testing.TB, dir string, n int) {
	tb.Helper()
	sides := [2]*bufio.Writer{}
	for i, name := range []string{"sent.json.gz", "exported.json.gz"} {
		file, err := os.Create(filepath.Join(dir, name))
		require.NoError(tb, err)
		defer func() { require.NoError(tb, file.Close()) }()
		compressed, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
		require.NoError(tb, err)
		defer func() { require.NoError(tb, compressed.Close()) }()
		sides[i] = bufio.NewWriter(compressed)
		defer func() { require.NoError(tb, sides[i].Flush()) }()
	}
	for i := range n {
		second := 1_700_000_000 + i/100
		_, _ = fmt.Fprintf(sides[0], `{"_p":"User-%d@example.com","_t":%d,"_n":"Viewed Product","Price":%d.5,"Category":"Shoes","Sku":"A-%d"}`+"\n", i%(n/7+1), second, i%300, i)
		j := (i + n/3) % n // Kissmetrics has another order
		if second = 1_700_000_000 + j/100; j%1000 != 0 {
			_, _ = fmt.Fprintf(sides[1], `{"price":"%d.5","category":"Shoes","sku":"A-%d","_n":"viewed product","_p":"user-%d@example.com","_t":%d}`+"\n", j%300, j, j%(n/7+1), second)
		}
	}
}

// peak measures the memory that Go has from the system until it is stopped.
func peak() (stop func() uint64) {
	var most uint64
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			most = max(most, stats.Sys-stats.HeapReleased)
			select {
			case <-ticker.C:
			case <-ended:
				return
			}
		}
	})
	return func() uint64 { close(ended); wg.Wait(); return most }
}

// inUse returns how many bytes are in use.
func inUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
