package outboxtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	patience = time.Minute
	interval = 2 * time.Millisecond
)

// A suite is one subtest.
type suite struct {
	*testing.T

	openStore             func(maxRecords int) store
	errNotParked, errFull error
	exclusive             bool
}

// parks reports whether the store parks anything.
func (s *suite) parks() bool {
	if s.errNotParked == nil {
		s.Log("this store parks nothing")
	}
	return s.errNotParked != nil
}

// open opens the storage until the test ends.
func (s *suite) open(maxRecords int) store {
	s.Helper()
	opened := s.openStore(maxRecords)
	s.Cleanup(func() { s.close(opened) })
	return opened
}

func (s *suite) close(of store) {
	s.Helper()
	// The test's own context has ended when it is cleaned up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), patience)
	defer cancel()
	if err := of.Close(ctx); err != nil {
		s.Errorf("Close: %v", err)
	}
}

// start runs a store's relay. What it returns stops that, and must be called
// before the store is closed; it is harmless to call it again.
func (s *suite) start(of store, next kissmetrics.Sender) (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- of.Run(ctx, next) }()
	stop = sync.OnceFunc(func() {
		s.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, context.Canceled) {
				s.Errorf("Run: %v, want nil or the error of its context", err)
			}
		case <-time.After(patience):
			s.Errorf("Run has not returned a minute after its context ended")
		}
	})
	s.Cleanup(stop)
	return stop
}

// await waits until something is true.
func (s *suite) await(what string, holds func() bool) {
	s.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.Fatalf("not within a minute: %s", what)
		}
	}
}

// awaitEmpty waits until nothing is to be delivered any more.
func (s *suite) awaitEmpty(of store) {
	s.Helper()
	s.await("nothing waits", func() bool { return s.waiting(of) == 0 })
}

// deliver delivers all that is stored and stops.
func (s *suite) deliver(of store, next kissmetrics.Sender) {
	s.Helper()
	stop := s.start(of, next)
	s.awaitEmpty(of)
	stop()
}

func (s *suite) send(to store, records ...kissmetrics.Record) {
	s.Helper()
	if err := to.Send(s.Context(), records); err != nil {
		s.Fatalf("Send: %v", err)
	}
}

// waiting returns how many records wait.
func (s *suite) waiting(of store) int64 {
	s.Helper()
	n, _, err := of.stats(s.Context())
	if err != nil {
		s.Fatalf("Stats: %v", err)
	}
	return n
}

// parked returns what is parked, which Stats must have counted.
func (s *suite) parked(of store) []entry {
	s.Helper()
	entries, err := of.parked(s.Context())
	if err != nil {
		s.Fatalf("Parked: %v", err)
	}
	if _, n, err := of.stats(s.Context()); err != nil || n != int64(len(entries)) {
		s.Errorf("Stats: %d are parked, %v; Parked lists %d", n, err, len(entries))
	}
	return entries
}

// wantParked checks that one thing is parked, that it holds the record, and why.
func (s *suite) wantParked(of store, want kissmetrics.Record) (id int64) {
	s.Helper()
	parked := s.parked(of)
	if len(parked) != 1 {
		s.Fatalf("%d are parked, want 1", len(parked))
	}
	if !slices.Contains(lines(parked[0].records), line(want)) {
		s.Errorf("what is parked does not hold the record that was refused: %v", parked[0].records)
	}
	if parked[0].reason == "" {
		s.Errorf("what is parked has no reason")
	}
	return parked[0].id
}

// wantTaken checks what the next sender has taken, in any order.
func (s *suite) wantTaken(next *receiver, want ...kissmetrics.Record) {
	s.Helper()
	s.wantSame(next.taken(), want)
}

// wantSame checks that records are the same, in any order.
func (s *suite) wantSame(got, want []kissmetrics.Record) {
	s.Helper()
	count := make(map[string]int)
	for _, text := range lines(want) {
		count[text]++
	}
	for _, text := range lines(got) {
		count[text]--
	}
	for _, text := range slices.Sorted(maps.Keys(count)) {
		shown := text[:min(len(text), 200)]
		switch n := count[text]; {
		case n > 0:
			s.Errorf("not delivered: %q", shown)
		case n < 0:
			s.Errorf("delivered although it should not be, or too often: %q", shown)
		}
	}
}

// record returns a valid record. Those of different names are no duplicates of
// each other, by Kissmetrics' rule.
func record(name string) kissmetrics.Record {
	return kissmetrics.Record{
		Kind:       kissmetrics.KindEvent,
		Person:     "person of " + name,
		Name:       name,
		Time:       time.Unix(1_700_000_000, 0).UTC(),
		Properties: []kissmetrics.Property{{Name: "Plan", Value: "Pro"}, {Name: "Seats", Value: "3", Literal: true}},
	}
}

// message returns records that differ.
func message(name string, n int) []kissmetrics.Record {
	records := make([]kissmetrics.Record, n)
	for i := range records {
		records[i] = record(name + "-" + strconv.Itoa(i))
	}
	return records
}

// line returns a record in a form that can be compared. The time of an alias is
// left out: it may be pinned where it was not given.
func line(r kissmetrics.Record) string {
	if r.Kind == kissmetrics.KindAlias {
		r.Time = time.Time{}
	}
	text, err := r.MarshalJSON()
	if err != nil {
		return fmt.Sprintf("not valid: %v", err)
	}
	return string(text)
}

func lines(records []kissmetrics.Record) []string {
	texts := make([]string, len(records))
	for i, r := range records {
		texts[i] = line(r)
	}
	return texts
}

// A receiver is the next sender.
type receiver struct {
	// respond decides about a call, where it is not nil. Its calls come one at a
	// time; what it returns nil for is taken, and so is what it says was Delivered.
	respond func(ctx context.Context, records []kissmetrics.Record) error

	mu      sync.Mutex
	calls   int
	records []kissmetrics.Record
}

func (r *receiver) Send(ctx context.Context, records []kissmetrics.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	var err error
	if r.respond != nil {
		err = r.respond(ctx, records)
	}
	if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		records = failed.Delivered
	} else if err != nil {
		records = nil
	}
	r.records = append(r.records, records...)
	return err
}

// taken returns what was taken, in the order in which it came.
func (r *receiver) taken() []kissmetrics.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

func (r *receiver) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// unavailable is the error of a server that cannot be reached.
func unavailable(records []kissmetrics.Record) error {
	return &kissmetrics.DeliveryError{
		Kind: kissmetrics.FailureUnavailable, Attempts: 1, StatusCode: 503, Undelivered: slices.Clone(records),
	}
}

// refusing returns what refuses the record of a name for good, until it is told
// otherwise, and takes all others.
func refusing(name string) func(context.Context, []kissmetrics.Record) error {
	return func(_ context.Context, records []kissmetrics.Record) error {
		failed := &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, StatusCode: 400}
		for _, r := range records {
			if r.Name == name {
				failed.Refused = append(failed.Refused, r)
			} else {
				failed.Delivered = append(failed.Delivered, r)
			}
		}
		if len(failed.Refused) == 0 {
			return nil
		}
		return failed
	}
}

// once returns the first of each record.
func once(records []kissmetrics.Record) []kissmetrics.Record {
	seen := make(map[string]bool)
	return slices.DeleteFunc(records, func(r kissmetrics.Record) bool {
		text := line(r)
		defer func() { seen[text] = true }()
		return seen[text]
	})
}
