package browsertest

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const writeKey = "browser-write-key"

// A service is collect at an address of its own, in front of a sender that keeps
// what it is sent.
type service struct {
	*httptest.Server

	handler *collect.Handler
	kept    kissmetricstest.Recorder

	mu       sync.Mutex
	faults   map[string]error // what the first try to send an event meets, by its name
	unheard  map[string]bool  // the events whose first answer is lost on its way
	refused  []string
	repeated int
}

// newService starts a service that takes what the pages of an origin send, and has
// Segment's script for its snippet as well.
func newService(t *testing.T, origin string, faults map[string]error) *service {
	s := &service{faults: maps.Clone(faults), unheard: map[string]bool{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that a closed tab leaves
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	var err error
	s.handler, err = collect.NewHandler(s, collect.WithWriteKeys(writeKey), collect.WithPublicURL(s.URL), collect.WithOrigins(origin),
		collect.WithOnResult(s.result))
	require.NoError(t, err)
	return s
}

type lost struct{} // the key of a context, for whether the answer is lost

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/analytics.js/") {
		http.ServeFile(w, r, "node/node_modules/@segment/analytics-next/dist/umd/standalone.js")
		return
	}
	var isLost bool
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), lost{}, &isLost)))
	if isLost {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	if w.Header().Get("Retry-After") != "" && !trial.Long() {
		w.Header().Set("Retry-After", "1") // collect asks for ten seconds where a queue is full
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// Send implements [kissmetrics.Sender].
func (s *service) Send(ctx context.Context, records []kissmetrics.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		if err := s.faults[r.Name]; err != nil {
			delete(s.faults, r.Name)
			return err
		}
		if isLost, ok := ctx.Value(lost{}).(*bool); ok && s.unheard[r.Name] {
			delete(s.unheard, r.Name)
			*isLost = true
		}
	}
	return s.kept.Send(ctx, records)
}

// loseAnswer loses the answer to an event, once.
func (s *service) loseAnswer(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unheard[event] = true
}

func (s *service) result(_ context.Context, r collect.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Outcome {
	case collect.Refused, collect.Ignored:
		s.refused = append(s.refused, fmt.Sprint(r.Type, " ", r.Outcome, ": ", r.Err))
	case collect.Repeated:
		s.repeated++
	case collect.Accepted, collect.Deferred:
	}
}

// await waits until a record of each name has been kept.
func (s *service) await(t *testing.T, names ...string) {
	t.Helper()
	var missing []string
	ok := assert.Eventually(t, func() bool {
		missing = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return slices.ContainsFunc(s.kept.Records(), func(r kissmetrics.Record) bool { return r.Name == name })
		})
		return len(missing) == 0
	}, deadline, 20*time.Millisecond)
	require.True(t, ok, "%v did not arrive, but %v", missing, s.described())
}

// awaitFaults waits until all of them were met.
func (s *service) awaitFaults(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.faults) == 0
	}, deadline, 20*time.Millisecond)
}

// told are the properties that the story tells. Each SDK adds its own of the page.
var told = []string{
	"Billing Amount", "Group - id", "Group - name", "address.city", "category", "email", "order_id", "price", "revenue", "sku",
}

// described returns what was kept, sorted, without the times. The identity of the
// story is ada; visitor is the one that viewed the product.
func (s *service) described() []string {
	records := s.kept.Records()
	first := slices.IndexFunc(records, func(r kissmetrics.Record) bool { return r.Name == "Product Viewed" })
	var all []string
	for _, r := range records {
		person := r.Person
		switch {
		case person == "ada":
		case first >= 0 && person == records[first].Person:
			person = "visitor"
		default:
			person = "somebody else"
		}
		d := person + ": " + strings.TrimSpace(r.Kind.String()+" "+r.Name)
		for _, p := range r.Properties {
			if slices.Contains(told, p.Name) {
				d += ", " + p.Name + "=" + p.Value
			}
		}
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// check checks that just these have arrived, in the end.
func (s *service) check(t *testing.T, want []string) {
	t.Helper()
	assert.Eventually(t, func() bool { return len(s.kept.Records()) >= len(want) }, deadline, 20*time.Millisecond)
	assert.Equal(t, want, s.described())
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Empty(t, s.refused)
	assert.Empty(t, s.faults, "all of them were met")
}
