package reconcile_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// oddRecords makes records as bytes say, five bytes for each. They may be such as no
// Sender takes.
func oddRecords(data []byte) (records []kissmetrics.Record) {
	texts := []string{"", "a", "A", "b", "é", "İ", "i\u0307", "\xff", "a,b", "a:b", " ", strings.Repeat("é", 513), strings.Repeat("é", 512), "1.0", "1", "-0", "1e9999999999", "null"}
	text := func(b byte) string { return texts[int(b)%len(texts)] }
	seconds := []int64{0, 1_700_000_000, 1_700_000_001, 1_700_090_000, -1, math.MaxInt64, math.MinInt64, time.Time{}.Unix()}
	for chunk := range slices.Chunk(data, 5) {
		if len(chunk) < 5 {
			break
		}
		r := kissmetrics.Record{Kind: kissmetrics.Kind(chunk[0]%5) - 1, Person: text(chunk[1]), Name: text(chunk[2]), Time: time.Unix(seconds[chunk[3]%8], 0)}
		for i := range chunk[3] >> 5 {
			r.Properties = append(r.Properties, kissmetrics.Property{Name: text(chunk[4] + i), Value: text(chunk[4]>>2 + i), Literal: chunk[4]&1 == 1})
		}
		records = append(records, r)
	}
	return records
}

// FuzzCounts: whatever is sent and exported, each record is counted once, as many
// differences are told as counted, and what is compared with itself has arrived.
func FuzzCounts(f *testing.F) {
	for i := range byte(60) {
		one, two := []byte{2, 1, 1, 1 + i<<5, i}, []byte{3, i, i + 1, 1 + i%8, i}
		f.Add(slices.Concat(one, two, one), slices.Concat(two, []byte{i % 5, 1, 1, 2 + i<<4, i}))
		f.Add([]byte{4, i, 1, 1, 0, 2, i, 2, 33, i, 1, i, 1, 66, 3}, []byte{4, 1, i, 0, 0, 2, 1, 2, 34, i, 1, 1, 1, 67, i})
	}
	f.Fuzz(func(t *testing.T, sent, exported []byte) {
		if len(sent)+len(exported) > 400 {
			return
		}
		a, b := oddRecords(sent), oddRecords(exported)
		differences, c := compare(t, sequence(a), sequence(b), reconcile.WithMemory(1<<20))
		require.EqualValues(t, len(a), c.Sent)
		require.EqualValues(t, len(b), c.Exported)
		require.Equal(t, c.Sent, c.Arrived+c.Repeats+c.Missing+c.Dropped+c.Altered, "%+v", c)
		require.EqualValues(t, len(differences), c.Missing+c.Dropped+c.Altered+c.Twice, "%+v", c)
		for _, d := range differences {
			assert.NotPanics(t, func() { _ = d.String() + fmt.Sprint(d.Changes) })
		}
		differences, c = compare(t, sequence(a), sequence(a), reconcile.WithMemory(1<<20))
		require.True(t, c.Complete(), "%+v", differences)
		require.Zero(t, c.Unsent)
	})
}
