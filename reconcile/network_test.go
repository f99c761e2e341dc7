package reconcile_test

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"runtime/debug"
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
// alone: nothing else, and nothing less. A million of them, as with -long, have a
// network of function calls, which costs a tenth of the machine's.
func TestFindsWhatTheOldRuleDropped(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1200 << 20)) // twice what the server remembers of a million,
	defer debug.SetGCPercent(debug.SetGCPercent(400))            // which has so many pointers that a third of the time would go to looking for garbage
	for name, c := range map[string]struct {
		n   int
		way func(*kissmetricstest.Server) kissmetrics.HTTPOption
	}{
		"over connections": {trial.Rounds(1500, 20_000), func(s *kissmetricstest.Server) kissmetrics.HTTPOption { return kissmetrics.WithBaseURL(s.URL) }},
		"over calls":       {trial.Rounds(3000, 1_000_000), func(s *kissmetricstest.Server) kissmetrics.HTTPOption { return kissmetrics.WithDoer(calls{s}) }},
	} {
		t.Run(name, func(t *testing.T) {
			dice := trial.NewDice(t)
			server := kissmetricstest.NewServer(t, kissmetricstest.WithOldDuplicateRule())
			server.FailWith(func(*http.Request) *kissmetricstest.Fault { return fault(dice) })
			dir := t.TempDir()
			sendBadly(t, c.way(server), filepath.Join(dir, "archive"), c.n)
			require.NoError(t, server.Export(filepath.Join(dir, "export"), kissmetricstest.ExportOptions{Gzip: true, Lines: c.n/3 + 1}))

			sent, err := reconcile.Open(filepath.Join(dir, "archive"))
			require.NoError(t, err)
			exported, err := reconcile.Open(filepath.Join(dir, "export"))
			require.NoError(t, err)
			r, err := reconcile.New(reconcile.WithTempDir(dir), reconcile.WithMemory(64<<20))
			require.NoError(t, err)
			found := make([]bool, c.n)
			for d, err := range r.Differences(t.Context(), sent.Records(), exported.Records()) {
				require.NoError(t, err)
				require.Equal(t, reconcile.Dropped, d.Kind, "%v", d)
				i := integer(t, number(d.Sent))
				require.False(t, found[i], "%d is told twice", i)
				found[i] = true
			}
			want, kept := dropped(t, server, c.n)
			require.Equal(t, want, found)
			counts := r.Counts()
			assert.EqualValues(t, c.n, counts.Sent)
			assert.EqualValues(t, kept, counts.Arrived)
			assert.EqualValues(t, c.n-kept, counts.Dropped)
			assert.Positive(t, counts.Dropped)
			assert.Zero(t, counts.Unsent)
		})
	}
}

// calls is a network in which a request is a call of the server, and a connection that
// is cut is an error.
type calls struct{ server *kissmetricstest.Server }

func (c calls) Do(r *http.Request) (response *http.Response, err error) {
	defer func() {
		if recover() != nil {
			response, err = nil, io.ErrUnexpectedEOF
		}
	}()
	w := &answer{header: make(http.Header, 1), status: http.StatusOK}
	c.server.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// An answer is what the server writes. It costs a part of what a recorder does.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header            { return a.header }
func (a *answer) WriteHeader(status int)         { a.status = status }
func (a *answer) Write(data []byte) (int, error) { return a.body.Write(data) }

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

const (
	people    = 97
	perSecond = 7 // events of one person
)

func person(p int) string { return "Person " + strconv.Itoa(p) }

// sendBadly sends n events, of which many have the same person and second.
func sendBadly(t *testing.T, way kissmetrics.HTTPOption, archive string, n int) {
	t.Helper()
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), way,
		kissmetrics.WithMaxAttempts(50), kissmetrics.WithBackoff(time.Microsecond, time.Millisecond))
	require.NoError(t, err)
	defer sender.CloseIdleConnections()
	a, err := reconcile.NewArchive(archive, sender, reconcile.WithFileSize(200_000))
	require.NoError(t, err)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := w; i < n; i += 8 {
				r := kissmetrics.NewEvent(person(i%people), "Did it", at(i/people/perSecond),
					kissmetrics.Number("Number", i), kissmetrics.Text("Of seven: "+strconv.Itoa(i/people%perSecond), "é"))
				if !assert.NoError(t, a.Send(t.Context(), []kissmetrics.Record{r})) {
					return
				}
			}
		})
	}
	workers.Wait()
	require.NoError(t, a.Close(t.Context()))
}

// dropped reports which of n events the server has not kept, and how many it has.
func dropped(t *testing.T, server *kissmetricstest.Server, n int) (missing []bool, kept int) {
	t.Helper()
	missing = slices.Repeat([]bool{true}, n)
	for p := range people {
		for _, event := range server.Events(person(p)) {
			missing[integer(t, event.Properties["Number"])] = false
			kept++
		}
	}
	return missing, kept
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

func integer(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}
