package main

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

// generated makes n events while they are read, and measures the memory in use
// after a tenth of them and before the last.
type generated struct {
	n, next     int
	rest        []byte
	early, late uint64
}

func (g *generated) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		switch g.next {
		case g.n:
			return 0, io.EOF
		case g.n / 10:
			g.early = inUse()
		case g.n - 1:
			g.late = inUse()
		}
		g.rest = []byte(event(g.next))
		g.next++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

func inUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestMemory: what is in use does not grow with the number of events.
// BACKFILL_EVENTS=1000000 takes a million.
func TestMemory(t *testing.T) {
	n := trial.Rounds(50_000, 300_000)
	if s := os.Getenv("BACKFILL_EVENTS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	for name, args := range map[string][]string{
		"delivering":    {"-api-key", secret, "-rate", "0", "-"},
		"writing files": {"-import", "out", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			g := &generated{n: n}
			o := backfill(t.Context(), g, &answering{}, args...)
			require.NoError(t, o.err)
			assert.Contains(t, o.stdout.String(), humanize.Comma(int64(n))+" lines, "+humanize.Comma(int64(n))+" records")
			t.Logf("%d events; %d KiB in use early, %d KiB late", n, g.early>>10, g.late>>10)
			require.NotZero(t, g.early)
			assert.Less(t, g.late, g.early+6<<20)
		})
	}
}
