package outboxtest

import (
	"context"
	"errors"
	"slices"

	"github.com/kissmetrics-go/kissmetrics"
)

func (s *suite) park() {
	if !s.parks() {
		return
	}
	store := s.open(0)
	next := &receiver{respond: refusing("bad-1")}
	s.send(store, message("bad", 3)...) // refused in the middle
	s.send(store, message("good", 3)...)
	s.deliver(store, next)
	want := slices.Concat(message("bad", 3)[:1], message("bad", 3)[2:], message("good", 3))
	s.wantTaken(next, want...)
	s.wantParked(store, record("bad-1"))

	// One that is parked holds up nothing, and is not tried.
	s.send(store, record("later"))
	calls := next.called()
	s.deliver(store, next)
	s.wantTaken(next, append(want, record("later"))...)
	if n := next.called() - calls; n != 1 {
		s.Errorf("%d calls for one record, while one is parked", n)
	}
}

func (s *suite) parkInvalid() {
	if !s.parks() {
		return
	}
	store := s.open(0)
	next := &receiver{respond: func(_ context.Context, records []kissmetrics.Record) error {
		if records[0].Name == "bad" {
			return &kissmetrics.ValidationError{Field: "event", Reason: "is not what this sender takes"}
		}
		return nil
	}}
	s.send(store, record("bad"))
	s.send(store, record("good"))
	s.deliver(store, next)
	s.wantTaken(next, record("good"))
	s.wantParked(store, record("bad"))
}

func (s *suite) requeue() {
	if !s.parks() {
		return
	}
	store := s.open(0)
	for _, name := range []string{"first", "second"} {
		s.send(store, record(name))
		s.deliver(store, &receiver{respond: refusing(name)})
		id := s.wantParked(store, record(name))
		var err error
		if name == "first" {
			err = store.Requeue(s.Context(), id)
		} else {
			err = store.Delete(s.Context(), id)
		}
		if err != nil {
			s.Fatalf("Requeue or Delete: %v", err)
		}
		if parked := s.parked(store); len(parked) != 0 {
			s.Errorf("%d are still parked", len(parked))
		}
		next := &receiver{}
		s.deliver(store, next)
		if name == "first" {
			s.wantTaken(next, record(name))
		} else {
			s.wantTaken(next)
		}
	}
}

// several requeues and deletes more than one entry at once.
func (s *suite) several() {
	if !s.parks() {
		return
	}
	store := s.open(0)
	ids := func(names ...string) (ids []int64) {
		s.Helper()
		for _, name := range names {
			s.send(store, record(name))
			s.deliver(store, &receiver{respond: refusing(name)})
		}
		for _, e := range s.parked(store) {
			ids = append(ids, e.id)
		}
		if len(ids) != len(names) {
			s.Fatalf("%d are parked, want %d", len(ids), len(names))
		}
		return ids
	}
	if err := store.Requeue(s.Context(), ids("a", "b")...); err != nil {
		s.Fatalf("Requeue of both: %v", err)
	}
	next := &receiver{}
	s.deliver(store, next)
	s.wantTaken(next, record("a"), record("b"))
	if err := store.Delete(s.Context(), ids("c", "d")...); err != nil {
		s.Fatalf("Delete of both: %v", err)
	}
	if n := len(s.parked(store)); n != 0 {
		s.Errorf("%d are parked, want none", n)
	}
	if err := errors.Join(store.Requeue(s.Context()), store.Delete(s.Context())); err != nil {
		s.Errorf("Requeue or Delete of nothing: %v", err)
	}
}

func (s *suite) notParked() {
	if !s.parks() {
		return
	}
	store := s.open(0)
	s.send(store, record("bad"))
	s.send(store, record("good"))
	s.deliver(store, &receiver{respond: refusing("bad")})
	id := s.wantParked(store, record("bad"))
	for _, other := range []int64{0, -1, id + 1000, 1 << 62} {
		for call, err := range map[string]error{
			"Requeue": store.Requeue(s.Context(), other),
			"Delete":  store.Delete(s.Context(), other),
		} {
			if err == nil || !errors.Is(err, s.errNotParked) {
				s.Errorf("%s(%d): %v, want %v", call, other, err, s.errNotParked)
			}
		}
	}
	s.wantParked(store, record("bad"))
}

// count stores messages of several records and parks some of them.
func (s *suite) count() {
	store := s.open(0)
	s.send(store, message("a", 3)...)
	s.send(store, message("b", 2)...)
	if n := s.waiting(store); n != 5 {
		s.Errorf("%d wait, want the 5 records", n)
	}
	if !s.parks() {
		return
	}
	s.deliver(store, &receiver{respond: refusing("a-0")})
	id := s.wantParked(store, record("a-0"))
	s.send(store, record("bad"))
	s.deliver(store, &receiver{respond: refusing("bad")})
	if n := len(s.parked(store)); n != 2 {
		s.Errorf("%d are parked, want 2", n)
	}
	if err := store.Requeue(s.Context(), id); err != nil {
		s.Fatalf("Requeue: %v", err)
	}
	if s.waiting(store) == 0 {
		s.Errorf("what is requeued does not wait")
	}
	s.wantParked(store, record("bad"))
}
