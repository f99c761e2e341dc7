package outboxtest_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errFull      = errors.New("full")
	errNotParked = errors.New("not parked")
)

// storage is the simplest thing that could be durable, if memory were.
type storage struct {
	fault string // what it does wrong

	relaying sync.Mutex // held by the one that relays
	mu       sync.Mutex
	waiting  []entry
	parked   []entry
	ids      int64
}

// entry is what waits, or what is parked.
type entry struct {
	ID      int64
	Records []kissmetrics.Record
	Reason  string
}

type stats struct{ Waiting, Parked int64 }

// store is a handle on a storage.
type store struct {
	*storage
	maxRecords int
	closed     bool
}

var _ outboxtest.Store[stats, entry] = (*store)(nil)

func newStorage(fault string) outboxtest.Storage[*store] {
	shared := &storage{fault: fault}
	return outboxtest.Storage[*store]{
		Open: func(_ *testing.T, maxRecords int) *store {
			return &store{storage: shared, maxRecords: maxRecords}
		},
		ErrNotParked: errNotParked,
		ErrFull:      errFull,
	}
}

// ended returns the error of a call on a store that is closed.
func (s *store) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && s.fault != "works when closed" {
		return kissmetrics.ErrClosed
	}
	return nil
}

func (s *store) Send(ctx context.Context, records []kissmetrics.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil && s.fault != "ignores the context" {
		return err
	}
	if s.closed && s.fault != "works when closed" {
		return kissmetrics.ErrClosed
	}
	for i, r := range records {
		if err := r.Validate(); err != nil {
			if s.fault == "stores part of a message" {
				s.add(records[:i])
			}
			return err
		}
	}
	if count := int(s.count(s.waiting)) + len(records); s.maxRecords > 0 && count > s.maxRecords && s.fault != "knows no bound" {
		return errFull
	}
	switch s.fault {
	case "loses a record":
		records = records[:max(0, len(records)-1)]
	case "turns a message round":
		records = slices.Clone(records)
		slices.Reverse(records)
	case "stores nothing for something":
		records = append(slices.Clone(records), kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "a", Name: "b"})
	case "stores half when it takes long":
		if len(records) > 1 {
			<-ctx.Done()
			s.add(records[:1])
			return ctx.Err()
		}
	case "keeps the slice":
		s.waiting = append(s.waiting, entry{Records: records})
		return nil
	}
	s.add(records)
	return nil
}

func (s *store) add(records []kissmetrics.Record) {
	if len(records) == 0 {
		return
	}
	clones := slices.Clone(records)
	for i := range clones {
		clones[i].Properties = slices.Clone(clones[i].Properties)
	}
	s.ids++
	s.waiting = append(s.waiting, entry{ID: s.ids, Records: clones})
}

func (s *store) count(entries []entry) (n int64) {
	for _, e := range entries {
		n += int64(len(e.Records))
	}
	return n
}

func (s *store) Run(ctx context.Context, next kissmetrics.Sender) error {
	if err := s.ended(); err != nil {
		return err
	}
	if v := reflect.ValueOf(next); (!v.IsValid() || v.IsNil()) && s.fault != "runs without a next sender" {
		return kissmetrics.ErrInvalidOption
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if s.relaying.TryLock() {
			for ctx.Err() == nil && s.relayOne(ctx, next) {
			}
			s.relaying.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *store) relayOne(ctx context.Context, next kissmetrics.Sender) (more bool) {
	s.mu.Lock()
	if len(s.waiting) == 0 {
		s.mu.Unlock()
		return false
	}
	e := s.waiting[0]
	if s.fault == "forgets what is under way" {
		s.waiting = s.waiting[1:]
	}
	s.mu.Unlock()

	err := send(ctx, next, e.Records)
	var left, refused []kissmetrics.Record
	if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		left, refused = failed.Undelivered, failed.Refused
	} else if _, ok := errors.AsType[*kissmetrics.ValidationError](err); ok && s.fault != "tries what is invalid" {
		refused = e.Records
	} else if err != nil {
		left = e.Records
	}
	switch s.fault {
	case "tries what is refused":
		left, refused = append(left, refused...), nil
	case "gives up":
		left = nil
	case "parks what is unavailable":
		left, refused = nil, append(refused, left...)
	case "parks the wrong record":
		if refused != nil {
			refused = []kissmetrics.Record{{Kind: kissmetrics.KindAlias, Person: "a", Name: "b"}}
		}
	case "forgets what is refused":
		refused = nil
	case "delivers twice":
		if err == nil {
			_ = send(ctx, next, e.Records)
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != "forgets what is under way" {
		s.waiting = s.waiting[1:]
	}
	switch {
	case s.fault == "forgets what is under way":
	case len(left) > 0:
		s.waiting = append(s.waiting, entry{ID: e.ID, Records: left})
	}
	if len(refused) > 0 {
		s.ids++
		s.parked = append(s.parked, entry{ID: s.ids, Records: refused, Reason: err.Error()})
		if s.fault == "gives no reason" {
			s.parked[len(s.parked)-1].Reason = ""
		}
	}
	return true
}

func send(ctx context.Context, next kissmetrics.Sender, records []kissmetrics.Record) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("panic")
		}
	}()
	return next.Send(ctx, records)
}

func (s *store) Stats(context.Context) (stats, error) {
	if err := s.ended(); err != nil {
		return stats{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := stats{Waiting: s.count(s.waiting), Parked: int64(len(s.parked))}
	switch s.fault {
	case "counts messages":
		counts.Waiting = int64(len(s.waiting))
	case "does not count what is parked":
		counts.Parked = 0
	}
	return counts, nil
}

func (s *store) Flush(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if counts, err := s.Stats(ctx); err != nil || counts.Waiting == 0 || s.fault == "does not wait in Flush" {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *store) Parked(context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if err := s.ended(); err != nil {
			yield(entry{}, err)
			return
		}
		s.mu.Lock()
		parked := slices.Clone(s.parked)
		s.mu.Unlock()
		for _, e := range parked {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// unpark takes out what is parked, all or nothing, and does something with it.
func (s *store) unpark(ids []int64, with func(e entry)) error {
	if err := s.ended(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		i := slices.IndexFunc(s.parked, func(e entry) bool { return e.ID == id })
		if i < 0 {
			if s.fault == "does not tell what is not parked" {
				continue
			}
			return errNotParked
		}
		with(s.parked[i])
		s.parked = slices.Delete(s.parked, i, i+1)
		if s.fault == "takes only the first" {
			break
		}
	}
	return nil
}

func (s *store) Requeue(_ context.Context, ids ...int64) error {
	return s.unpark(ids, func(e entry) {
		if s.fault != "requeues nothing" {
			s.add(e.Records)
		}
	})
}

func (s *store) Delete(_ context.Context, ids ...int64) error {
	return s.unpark(ids, func(e entry) {
		if s.fault == "requeues what it is to delete" {
			s.add(e.Records)
		}
	})
}

func (s *store) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	switch s.fault {
	case "does not survive a restart":
		s.waiting = nil
	case "forgets what is parked":
		s.parked = nil
	}
	return nil
}

// faulty names the fault of the storage that a child process is to test.
const faulty = "OUTBOXTEST_FAULT"

func TestAStoreThatKeepsThePromise(t *testing.T) {
	fault := os.Getenv(faulty)
	outboxtest.Run(t, func(*testing.T) outboxtest.Storage[*store] { return newStorage(fault) })
}

// A suite that finds nothing is worth nothing, so each kind of fault is tried in
// a process of its own, where it may fail the test.
func TestEveryFaultIsFound(t *testing.T) {
	t.Parallel()
	for fault, finder := range map[string]string{
		"loses a record":                   "accepts_every_kind_of_record_and_delivers_it_as_it_was",
		"stores nothing for something":     "delivers_nothing_for_nothing",
		"keeps the slice":                  "keeps_nothing_of_the_caller's_slice",
		"turns a message round":            "keeps_the_order_within_a_message",
		"delivers twice":                   "delivers_what_comes_while_it_runs",
		"stores part of a message":         "refuses_all_of_a_message_that_is_not_valid",
		"ignores the context":              "stores_nothing_for_a_context_that_has_ended",
		"stores half when it takes long":   "stores_all_or_nothing_when_the_context_ends_meanwhile",
		"works when closed":                "does_nothing_once_it_is_closed",
		"runs without a next sender":       "refuses_a_next_sender_that_is_nil",
		"gives up":                         "tries_again_what_could_not_be_delivered",
		"parks what is unavailable":        "tries_again_what_could_not_be_delivered",
		"forgets what is refused":          "parks_what_is_refused,_and_nothing_else",
		"parks the wrong record":           "parks_what_is_refused,_and_nothing_else",
		"gives no reason":                  "parks_what_is_refused,_and_nothing_else",
		"requeues nothing":                 "requeues_and_deletes_what_is_parked",
		"requeues what it is to delete":    "requeues_and_deletes_what_is_parked",
		"does not tell what is not parked": "requeues_and_deletes_nothing_that_is_not_parked",
		"counts messages":                  "counts_the_records_that_wait_and_the_entries_that_are_parked",
		"takes only the first":             "requeues_and_deletes_several_at_once",
		"does not count what is parked":    "counts_the_records_that_wait_and_the_entries_that_are_parked",
		"does not wait in Flush":           "waits_in_Flush_for_an_outcome",
		"does not survive a restart":       "keeps_what_waits_over_a_restart",
		"forgets what is parked":           "keeps_what_is_parked_over_a_restart",
		"forgets what is under way":        "keeps_what_was_under_way_when_it_stopped",
		"knows no bound":                   "refuses_what_there_is_no_room_for",
	} {
		t.Run(fault, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAStoreThatKeepsThePromise$/^"+regexp.QuoteMeta(finder)+"$")
			child.Env = append(os.Environ(), faulty+"="+fault)
			output, err := child.CombinedOutput()
			_, failed := errors.AsType[*exec.ExitError](err)
			require.True(t, failed, "%v\n%s", err, output)
			assert.Regexp(t, `(?m)^    --- FAIL: TestAStoreThatKeepsThePromise/`+regexp.QuoteMeta(finder), string(output))
		})
	}
}
