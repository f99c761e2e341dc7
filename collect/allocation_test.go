package collect_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// leastAllocated returns how many bytes f allocates: the least of some runs, for pools lose
// what they have now and then.
func leastAllocated(f func(run int)) uint64 {
	least := ^uint64(0)
	for run := range 10 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f(run)
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func TestABatchOf100MessagesAllocatesAtMost64KB(t *testing.T) {
	for name, sdk := range map[string]string{"of a browser": browserContext, "of a server": serverContext} {
		t.Run(name, func(t *testing.T) {
			var requests []*http.Request
			for run := range 10 {
				request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/batch", bytes.NewReader(benchmarkBatch(sdk, run)))
				request.SetBasicAuth(writeKey, "")
				requests = append(requests, request)
			}
			bytes := leastAllocated(func(run int) {
				recorder := &kissmetricstest.Recorder{}
				handler, err := collect.NewHandler(recorder, collect.WithWriteKeys(writeKey))
				require.NoError(t, err)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, requests[run])
				require.Equal(t, http.StatusOK, w.Code)
			})
			assert.LessOrEqual(t, bytes, uint64(64<<10))
		})
	}
}

// A textKeeper keeps all texts that it is sent, which the contract of a Sender allows.
type textKeeper struct{ texts []string }

func (k *textKeeper) Send(_ context.Context, records []kissmetrics.Record) error {
	for _, r := range records {
		k.texts = append(k.texts, r.Person, r.Name)
		for _, p := range r.Properties {
			k.texts = append(k.texts, p.Name, p.Value)
		}
	}
	return nil
}

// A stuckSender never takes anything.
type stuckSender struct{}

func (stuckSender) Send(ctx context.Context, _ []kissmetrics.Record) error {
	<-ctx.Done()
	return ctx.Err()
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // and what pools had
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // no machine has so much
}

func TestWhatIsKeptDoesNotHoldTheBody(t *testing.T) {
	blanks := strings.Repeat(" ", 2<<20)
	for name, keeper := range map[string]func(t *testing.T) kissmetrics.Sender{
		"a Recorder":                func(*testing.T) kissmetrics.Sender { return &kissmetricstest.Recorder{} },
		"a sender that keeps texts": func(*testing.T) kissmetrics.Sender { return &textKeeper{} },
		"a queue": func(t *testing.T) kissmetrics.Sender {
			queue, err := kissmetrics.NewQueue(stuckSender{})
			require.NoError(t, err)
			t.Cleanup(func() {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_ = queue.Close(ctx) // hands back what it kept
			})
			return queue
		},
	} {
		for place, message := range map[string]string{
			"in what is not read":        `{"type":"track","userId":"u","event":"e","messageId":"m","properties":{"a":"b"},"context":{"x":"…"}}`,
			"in the value of a property": `{"type":"track","userId":"u","event":"e","messageId":"m","properties":{"a":"…"}}`,
			"in the name of a property":  `{"type":"track","userId":"u","event":"e","messageId":"m","properties":{"…":"b"}}`,
			"in a nested property":       `{"type":"track","userId":"u","event":"e","messageId":"m","properties":{"a":{"b":{"…":"…"}}}}`,
			"in a list":                  `{"type":"track","userId":"u","event":"e","messageId":"m","properties":{"a":["…","b"]}}`,
			"in a product":               `{"type":"track","userId":"u","event":"e","messageId":"m","properties":{"products":[{"a":"…"}]}}`,
			"in the traits of a context": `{"type":"identify","userId":"u","messageId":"m","context":{"traits":{"a":"…"}}}`,
			"in the name of an event":    `{"type":"track","userId":"u","event":"…","messageId":"m"}`,
			"in a category":              `{"type":"page","userId":"u","category":"…","name":"n","messageId":"m"}`,
			"before an identity":         `{"type":"track","userId":"` + blanks + `u","event":"e","messageId":"m"}`,
			"before an event":            `{"type":"track","userId":"u","event":"` + blanks + `e","messageId":"m"}`,
			"in a group":                 `{"type":"group","userId":"u","groupId":"…","messageId":"m"}`,
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				r := (&receiver{}).with(t, keeper(t)) // which keeps the results
				before := heap()
				require.Equal(t, http.StatusOK, r.do(t, "/v1/batch", batch(strings.ReplaceAll(message, "…", strings.Repeat("x", 2<<20)))).status)
				assert.Less(t, heap()-before, int64(1<<20))
				assert.Equal(t, []collect.Outcome{collect.Accepted}, r.outcomes())
				runtime.KeepAlive(r)
			})
		}
	}
}
