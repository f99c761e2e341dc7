package reconcile_test

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(archiveDirectory); dir != "" {
		fmt.Println("failed:", archiving(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// records returns the records of lines.
func records(t testing.TB, lines ...string) []kissmetrics.Record {
	t.Helper()
	var all []kissmetrics.Record
	for record, err := range kissmetrics.ReadImport(strings.NewReader(strings.Join(lines, "\n"))) {
		require.NoError(t, err)
		all = append(all, record.Record)
	}
	return all
}

// sequence returns records as one side of a comparison.
func sequence(records []kissmetrics.Record) iter.Seq2[kissmetrics.Record, error] {
	return func(yield func(kissmetrics.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// compare returns all differences, and the counts.
func compare(t testing.TB, sent, exported iter.Seq2[kissmetrics.Record, error], options ...reconcile.Option) ([]reconcile.Difference, reconcile.Counts) {
	t.Helper()
	r, err := reconcile.New(append([]reconcile.Option{reconcile.WithTempDir(t.TempDir())}, options...)...)
	require.NoError(t, err)
	var all []reconcile.Difference
	for d, err := range r.Differences(t.Context(), sent, exported) {
		require.NoError(t, err)
		all = append(all, d)
	}
	c := r.Counts()
	require.Equal(t, c.Sent, c.Arrived+c.Repeats+c.Missing+c.Dropped+c.Altered, "every record is counted once")
	return all, c
}

// at is the time of a test's second.
func at(second int) time.Time { return time.Unix(1_700_000_000+int64(second), 0).UTC() }

// words returns differences as short texts, sorted.
func words(differences []reconcile.Difference) []string {
	texts := []string{}
	for _, d := range differences {
		text := d.String()
		if len(d.Properties) > 0 {
			text += " [" + strings.Join(d.Properties, " ") + "]"
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts
}
