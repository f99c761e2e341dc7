package outboxtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
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

var errFull = errors.New("full")

// storage is the simplest thing that could be durable, if memory were.
type storage struct {
	fault string // what it does wrong

	relaying sync.Mutex // held by the one that relays
	mu       sync.Mutex
	waiting  []entry
	parked   []entry
	ids      int
}

type entry struct {
	id      int
	records []kissmetrics.Record
	reason  string
}

// store is a handle on a storage.
type store struct {
	*storage
	maxRecords int
	closed     bool
}

func newStorage(fault string) outboxtest.Storage {
	shared := &storage{fault: fault}
	return outboxtest.Storage{
		Open: func(_ *testing.T, maxRecords int) outboxtest.Store {
			return &store{storage: shared, maxRecords: maxRecords}
		},
		ErrFull: errFull,
	}
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
	if count := s.count(s.waiting) + len(records); s.maxRecords > 0 && count > s.maxRecords && s.fault != "knows no bound" {
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
	case "keeps the slice":
		s.waiting = append(s.waiting, entry{records: records})
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
	s.waiting = append(s.waiting, entry{id: s.ids, records: clones})
}

func (s *store) count(entries []entry) (n int) {
	for _, e := range entries {
		n += len(e.records)
	}
	return n
}

func (s *store) Run(ctx context.Context, next kissmetrics.Sender) error {
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

	err := send(ctx, next, e.records)
	var left, refused []kissmetrics.Record
	if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		left, refused = failed.Undelivered, failed.Refused
	} else if _, ok := errors.AsType[*kissmetrics.ValidationError](err); ok && s.fault != "tries what is invalid" {
		refused = e.records
	} else if err != nil {
		left = e.records
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
			_ = send(ctx, next, e.records)
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
		s.waiting = append(s.waiting, entry{id: e.id, records: left})
	}
	if len(refused) > 0 {
		s.ids++
		s.parked = append(s.parked, entry{id: s.ids, records: refused, reason: err.Error()})
		if s.fault == "gives no reason" {
			s.parked[len(s.parked)-1].reason = ""
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

func (s *store) Waiting(context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(s.waiting), nil
}

func (s *store) Parked(context.Context) ([]outboxtest.Parked, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parked := make([]outboxtest.Parked, len(s.parked))
	for i, e := range s.parked {
		parked[i] = outboxtest.Parked{ID: strconv.Itoa(e.id), Records: e.records, Reason: e.reason}
	}
	return parked, nil
}

func (s *store) unpark(id string) (e entry) {
	s.parked = slices.DeleteFunc(s.parked, func(parked entry) bool {
		if strconv.Itoa(parked.id) != id {
			return false
		}
		e = parked
		return true
	})
	return e
}

func (s *store) Requeue(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.unpark(id); s.fault != "requeues nothing" {
		s.add(e.records)
	}
	return nil
}

func (s *store) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.unpark(id); s.fault == "requeues what it is to delete" {
		s.add(e.records)
	}
	return nil
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
	outboxtest.Run(t, func(*testing.T) outboxtest.Storage { return newStorage(fault) })
}

// A suite that finds nothing is worth nothing, so each kind of fault is tried in
// a process of its own, where it may fail the test.
func TestEveryFaultIsFound(t *testing.T) {
	t.Parallel()
	for fault, finder := range map[string]string{
		"loses a record":                "accepts_every_kind_of_record_and_delivers_it_as_it_was",
		"stores nothing for something":  "delivers_nothing_for_nothing",
		"keeps the slice":               "keeps_nothing_of_the_caller's_slice",
		"turns a message round":         "keeps_the_order_within_a_message",
		"delivers twice":                "delivers_what_comes_while_it_runs",
		"stores part of a message":      "refuses_all_of_a_message_that_is_not_valid",
		"ignores the context":           "stores_nothing_for_a_context_that_has_ended",
		"works when closed":             "stores_nothing_once_it_is_closed",
		"gives up":                      "tries_again_what_could_not_be_delivered",
		"parks what is unavailable":     "tries_again_what_could_not_be_delivered",
		"forgets what is refused":       "parks_what_is_refused,_and_nothing_else",
		"parks the wrong record":        "parks_what_is_refused,_and_nothing_else",
		"gives no reason":               "parks_what_is_refused,_and_nothing_else",
		"requeues nothing":              "requeues_and_deletes_what_is_parked",
		"requeues what it is to delete": "requeues_and_deletes_what_is_parked",
		"does not survive a restart":    "keeps_what_waits_over_a_restart",
		"forgets what is parked":        "keeps_what_is_parked_over_a_restart",
		"forgets what is under way":     "keeps_what_was_under_way_when_it_stopped",
		"knows no bound":                "refuses_what_there_is_no_room_for",
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
