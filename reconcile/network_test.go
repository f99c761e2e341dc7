package reconcile_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// TestFindsWhatTheOldRuleDropped sends events through a bad network to a server that
// follows the old rule for duplicates, and finds what that dropped, by the export
// alone: nothing else, and nothing less. A million, as with -long, took 5 minutes, 200
// seconds of processor time and 7 GB on two cores that others used too; most of it for
// the requests, all of which the server keeps.
func TestFindsWhatTheOldRuleDropped(t *testing.T) {
	t.Parallel()
	n, dice := trial.Rounds(3000, 1_000_000), trial.NewDice(t)
	server := kissmetricstest.NewServer(t, kissmetricstest.WithOldDuplicateRule())
	server.FailWith(func(*http.Request) *kissmetricstest.Fault { return fault(dice) })
	dir := t.TempDir()
	sendBadly(t, server, filepath.Join(dir, "archive"), n)
	require.NoError(t, server.Export(filepath.Join(dir, "export"), kissmetricstest.ExportOptions{Gzip: true, Lines: n/3 + 1}))

	sent, err := reconcile.Open(filepath.Join(dir, "archive"))
	require.NoError(t, err)
	exported, err := reconcile.Open(filepath.Join(dir, "export"))
	require.NoError(t, err)
	differences, counts := compare(t, sent.Records(), exported.Records())

	var found []string
	for _, d := range differences {
		assert.Equal(t, reconcile.Dropped, d.Kind, "%v", d)
		found = append(found, number(d.Sent))
	}
	want := dropped(t, server, exported)
	require.NotEmpty(t, want)
	slices.Sort(found)
	assert.Equal(t, want, found)
	assert.EqualValues(t, n, counts.Sent)
	assert.Zero(t, counts.Unsent)
}

// fault makes a fifth of the requests go wrong, and half of these count all the same.
func fault(dice *trial.Dice) *kissmetricstest.Fault {
	switch recorded := dice.Below(2) == 0; dice.Below(15) {
	case 0:
		return &kissmetricstest.Fault{Status: http.StatusServiceUnavailable, Recorded: recorded}
	case 1:
		return &kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Recorded: recorded}
	case 2:
		return &kissmetricstest.Fault{Cut: kissmetricstest.CutReset, Recorded: recorded}
	}
	return nil
}

// sendBadly sends n events of so few people that many meet in one second.
func sendBadly(t *testing.T, server *kissmetricstest.Server, archive string, n int) {
	t.Helper()
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL),
		kissmetrics.WithMaxAttempts(50), kissmetrics.WithBackoff(time.Microsecond, time.Millisecond))
	require.NoError(t, err)
	defer sender.CloseIdleConnections()
	a, err := reconcile.NewArchive(archive, sender, reconcile.WithFileSize(200_000))
	require.NoError(t, err)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := w; i < n; i += 8 {
				r := kissmetrics.NewEvent("Person "+strconv.Itoa(i%97), "Did it", at(i/97/7),
					kissmetrics.Number("Number", i), kissmetrics.Text("Number "+strconv.Itoa(i), "é"))
				assert.NoError(t, a.Send(t.Context(), []kissmetrics.Record{r}))
			}
		})
	}
	workers.Wait()
	require.NoError(t, a.Close(t.Context()))
}

// number returns the number of an event of sendBadly.
func number(r kissmetrics.Record) string {
	for _, p := range r.Properties {
		if p.Name == "Number" || p.Name == "number" {
			return p.Value
		}
	}
	return ""
}

// dropped returns the numbers of the events that the server says it dropped, but for
// those of which it had kept the same before.
func dropped(t *testing.T, server *kissmetricstest.Server, exported *reconcile.Files) []string {
	t.Helper()
	kept := map[string]bool{}
	for r, err := range exported.Records() {
		require.NoError(t, err)
		if r.Kind == kissmetrics.KindEvent {
			kept[number(r)] = true
		}
	}
	var numbers []string
	for _, ignored := range server.Ignored() {
		if n := ignored.Request.Params.Get("Number"); ignored.Reason == kissmetricstest.ReasonDuplicateEvent && !kept[n] {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}
