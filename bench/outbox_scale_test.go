package bench

import (
	"context"
	"database/sql"
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// waiting is for those who have the time and the disk: see outbox/SCALE.md.
var waiting = flag.Int("waiting", 100_000, "how many records BenchmarkOutboxDrain has wait")

// BenchmarkOutboxDrain opens an outbox in which many records wait, and delivers
// all of them to a sender that takes them at once. It logs how long the opening
// took, and for every tenth the rate and what the process has in memory.
func BenchmarkOutboxDrain(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "outbox.db")
		fill(b, path, *waiting)
		start := time.Now()
		box, err := outbox.Open(b.Context(), path)
		require.NoError(b, err)
		b.Logf("opened in %v, with %d MiB in memory", time.Since(start).Round(time.Microsecond), resident(b)>>20)
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error)
		next := &tenths{every: int64(*waiting) / 10, passed: make(chan int64, 20)}
		go func() { ended <- box.Run(ctx, next) }()
		start = time.Now()
		var rates, memory []int
		for range 10 {
			<-next.passed
			rates = append(rates, int(float64(next.every)/time.Since(start).Seconds()))
			memory = append(memory, resident(b)>>20)
			start = time.Now()
		}
		b.Logf("records a second in each tenth: %v", rates)
		b.Logf("MiB in memory after each tenth: %v", memory)
		require.NoError(b, box.Flush(b.Context()))
		cancel()
		require.NoError(b, <-ended)
		require.NoError(b, box.Close(context.Background()))
	}
}

// tenths is a sender that tells of every so many records.
type tenths struct {
	quota
	every  int64
	passed chan int64
}

func (s *tenths) Send(_ context.Context, records []kissmetrics.Record) error {
	n := -s.left.Add(-int64(len(records)))
	if n%s.every == 0 {
		s.passed <- n
	}
	return nil
}

// fill has a file hold so many messages of a record each: a thousand by Send, and
// copies of these by SQL.
func fill(b *testing.B, path string, messages int) {
	b.Helper()
	box, err := outbox.Open(b.Context(), path)
	require.NoError(b, err)
	const first = 1000
	for i := range first {
		require.NoError(b, box.Send(b.Context(), []kissmetrics.Record{order(i)}))
	}
	require.NoError(b, box.Close(context.Background()))
	db, err := sql.Open("sqlite", path)
	require.NoError(b, err)
	for range messages/first - 1 {
		_, err := db.ExecContext(b.Context(), "INSERT INTO kissmetrics_waiting (message) SELECT message FROM kissmetrics_waiting WHERE id <= ?", first)
		require.NoError(b, err)
	}
	_, err = db.ExecContext(b.Context(), `UPDATE kissmetrics_totals SET messages = messages * ?1, records = records * ?1, bytes = bytes * ?1`, messages/first)
	require.NoError(b, err)
	require.NoError(b, db.Close())
}
