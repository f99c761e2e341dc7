package outboxtest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

func (s *suite) accept() {
	second := time.Unix(1_700_000_000, 0).UTC()
	want := []kissmetrics.Record{
		record("event"),
		{Kind: kissmetrics.KindEvent, Person: "bare", Name: "without properties", Time: second},
		{Kind: kissmetrics.KindEvent, Person: "early", Name: "at the beginning", Time: time.Unix(1_230_768_000, 0)},
		{Kind: kissmetrics.KindProperties, Person: "Zoë", Time: second, Properties: []kissmetrics.Property{
			{Name: "Billing Amount", Value: "-12345678901234567890.125", Literal: true},
			{Name: "a.b.c", Value: ""},
			{Name: "long", Value: strings.Repeat("é", 4096)},
			{Name: "quoted \"name\"", Value: "line\nend, \x00 & <tag> \\ 日本"},
			{Name: "text", Value: "123"},
			{Name: "yes", Value: "true", Literal: true},
		}},
		{Kind: kissmetrics.KindAlias, Person: "before", Name: "after"},
		{Kind: kissmetrics.KindAlias, Person: "before", Name: "dated", Time: second},
	}
	store, next := s.open(0), &receiver{}
	for _, r := range want {
		s.send(store, r)
	}
	s.deliver(store, next)
	s.wantTaken(next, want...)
}

func (s *suite) nothing() {
	store, next := s.open(0), &receiver{}
	s.send(store)
	s.send(store, record("something"))
	s.deliver(store, next)
	s.wantTaken(next, record("something"))
}

func (s *suite) callersSlice() {
	store, next := s.open(0), &receiver{}
	records := message("a", 2)
	s.send(store, records...)
	if got, want := lines(records), lines(message("a", 2)); !slices.Equal(got, want) {
		s.Errorf("Send has changed the records to %q", got)
	}
	records[0].Properties[0].Value = "changed"
	records[1] = record("changed")
	s.deliver(store, next)
	s.wantTaken(next, message("a", 2)...)
}

func (s *suite) order() {
	const messages, each = 10, 12
	store, next := s.open(0), &receiver{}
	for m := range messages {
		s.send(store, message("m"+strconv.Itoa(m), each)...)
	}
	s.deliver(store, next)
	of := make(map[string][]string) // message → records, as they came
	for _, r := range next.taken() {
		m, _, _ := strings.Cut(r.Name, "-")
		of[m] = append(of[m], r.Name)
	}
	for m := range messages {
		name := "m" + strconv.Itoa(m)
		var want []string
		for _, r := range message(name, each) {
			want = append(want, r.Name)
		}
		if !slices.Equal(of[name], want) {
			s.Errorf("delivered %q, want %q", of[name], want)
		}
	}
}

func (s *suite) whileRunning() {
	store, next := s.open(0), &receiver{}
	s.start(store, next)
	for i := range 3 {
		s.send(store, record(strconv.Itoa(i)))
		s.await("the record is delivered", func() bool { return len(next.taken()) > i })
	}
	s.awaitEmpty(store)
	s.wantTaken(next, record("0"), record("1"), record("2"))
}

func (s *suite) repeat() {
	store, next := s.open(0), &receiver{}
	for range 2 {
		s.send(store, message("a", 2)...)
	}
	s.deliver(store, next)
	s.send(store, message("a", 2)...)
	s.deliver(store, next)
	s.wantSame(once(next.taken()), message("a", 2))
}

func (s *suite) invalid() {
	nameless := record("")
	untimed := record("untimed")
	untimed.Time = time.Time{}
	store, next := s.open(0), &receiver{}
	for _, records := range [][]kissmetrics.Record{
		{nameless, record("a")},
		{record("b"), nameless},
		{record("c"), untimed},
		{{}},
	} {
		err := store.Send(s.Context(), records)
		if _, ok := errors.AsType[*kissmetrics.ValidationError](err); !ok {
			s.Errorf("Send of an invalid record: %v, want a ValidationError", err)
		}
	}
	if n := s.waiting(store); n != 0 {
		s.Errorf("%d wait although Send failed", n)
	}
	s.send(store, record("valid"))
	s.deliver(store, next)
	s.wantTaken(next, record("valid"))
}

func (s *suite) ended() {
	store, next := s.open(0), &receiver{}
	canceled, cancel := context.WithCancel(s.Context())
	cancel()
	if err := store.Send(canceled, message("a", 2)); !errors.Is(err, context.Canceled) {
		s.Errorf("Send: %v, want context.Canceled", err)
	}
	expired, cancel := context.WithDeadline(s.Context(), time.Unix(0, 0))
	defer cancel()
	if err := store.Send(expired, message("b", 2)); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("Send: %v, want context.DeadlineExceeded", err)
	}
	// A context that ends after Send has returned does not matter.
	ctx, cancel := context.WithCancel(s.Context())
	if err := store.Send(ctx, message("c", 2)); err != nil {
		s.Fatalf("Send: %v", err)
	}
	cancel()
	s.deliver(store, next)
	s.wantTaken(next, message("c", 2)...)
}

func (s *suite) closed() {
	store, next := s.open(0), &receiver{}
	s.send(store, record("before"))
	s.close(store)
	if err := store.Send(s.Context(), message("after", 2)); err == nil {
		s.Errorf("Send after Close: nil, want an error")
	}
	s.deliver(s.open(0), next)
	s.wantTaken(next, record("before"))
}

func (s *suite) retry() {
	store := s.open(0)
	failures := 5
	next := &receiver{respond: func(_ context.Context, records []kissmetrics.Record) error {
		if failures--; failures >= 0 {
			return unavailable(records)
		}
		return nil
	}}
	var want []kissmetrics.Record
	for i := range 4 {
		m := message(strconv.Itoa(i), 3)
		want = append(want, m...)
		s.send(store, m...)
	}
	s.deliver(store, next)
	s.wantTaken(next, want...)
	if parked := s.parked(store); len(parked) != 0 {
		s.Errorf("%d are parked, but the server was only away", len(parked))
	}
}

func (s *suite) retryUnknown() {
	store, calls := s.open(0), 0
	next := &receiver{respond: func(context.Context, []kissmetrics.Record) error {
		switch calls++; calls {
		case 1:
			return errors.New("a disk is full")
		case 2:
			panic("a next sender with a bug")
		case 3:
			return context.DeadlineExceeded // its own, not that of its caller
		}
		return nil
	}}
	s.send(store, message("a", 2)...)
	s.deliver(store, next)
	s.wantTaken(next, message("a", 2)...)
}

// partial has a message delivered in two parts. A store that keeps a message in
// one piece delivers the first part again.
func (s *suite) partial() {
	store, first := s.open(0), true
	next := &receiver{respond: func(_ context.Context, records []kissmetrics.Record) error {
		if !first {
			return nil
		}
		first = false
		err, _ := errors.AsType[*kissmetrics.DeliveryError](unavailable(records[1:]))
		err.Delivered = slices.Clone(records[:1])
		return err
	}}
	s.send(store, message("a", 3)...)
	s.deliver(store, next)
	s.wantSame(once(next.taken()), message("a", 3))
}

func (s *suite) park() {
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

func (s *suite) restart() {
	store, next := s.open(0), &receiver{}
	s.send(store, message("a", 3)...)
	s.close(store)
	store = s.open(0)
	s.send(store, message("b", 3)...)
	s.close(store)
	store = s.open(0)
	s.deliver(store, next)
	s.close(store)
	s.wantTaken(next, append(message("a", 3), message("b", 3)...)...)

	// What was delivered is gone for good.
	store, next = s.open(0), &receiver{}
	s.send(store, record("c"))
	s.deliver(store, next)
	s.wantTaken(next, record("c"))
}

func (s *suite) restartParked() {
	store, next := s.open(0), &receiver{}
	s.send(store, record("bad"))
	s.deliver(store, &receiver{respond: refusing("bad")})
	s.close(store)

	store = s.open(0)
	s.deliver(store, next)
	s.wantTaken(next)
	if err := store.Requeue(s.Context(), s.wantParked(store, record("bad"))); err != nil {
		s.Fatalf("Requeue: %v", err)
	}
	s.close(store)
	s.deliver(s.open(0), next)
	s.wantTaken(next, record("bad"))
}

// underWay stops the relay while the next sender has records in hand, of which
// it cannot say what became.
func (s *suite) underWay() {
	store := s.open(0)
	arrived := make(chan struct{}, 1)
	s.send(store, message("a", 2)...)
	stop := s.start(store, &receiver{respond: func(ctx context.Context, records []kissmetrics.Record) error {
		select {
		case arrived <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureCanceled, Undelivered: slices.Clone(records), Err: ctx.Err()}
	}})
	<-arrived
	stop()
	s.close(store)

	store, next := s.open(0), &receiver{}
	s.deliver(store, next)
	s.wantTaken(next, message("a", 2)...)
}

func (s *suite) concurrency() {
	const goroutines, messages, each = 8, 12, 2
	store, next := s.open(0), &receiver{}
	s.start(store, next)
	var want []kissmetrics.Record
	var senders sync.WaitGroup
	for g := range goroutines {
		for m := range messages {
			want = append(want, message("g"+strconv.Itoa(g)+"m"+strconv.Itoa(m), each)...)
		}
		senders.Go(func() {
			for m := range messages {
				if err := store.Send(s.Context(), message("g"+strconv.Itoa(g)+"m"+strconv.Itoa(m), each)); err != nil {
					s.Errorf("Send: %v", err)
				}
				if _, err := store.Waiting(s.Context()); err != nil {
					s.Errorf("Waiting: %v", err)
				}
			}
		})
	}
	senders.Wait()
	s.awaitEmpty(store)
	s.wantTaken(next, want...)
}

// takeOver opens the storage twice, as two processes do.
func (s *suite) takeOver() {
	one, other := s.open(0), s.open(0)
	next := &receiver{}
	stop := s.start(one, next)
	s.start(other, next)
	s.send(one, message("a", 2)...)
	s.send(other, message("b", 2)...)
	s.awaitEmpty(other)
	stop()
	s.close(one)
	s.send(other, message("c", 2)...)
	s.awaitEmpty(other)
	s.wantTaken(next, slices.Concat(message("a", 2), message("b", 2), message("c", 2))...)
}

func (s *suite) full() {
	if s.storage.ErrFull == nil {
		s.Log("this store knows no bound")
		return
	}
	const room = 4
	store, next := s.open(room), &receiver{}
	wantFull := func(records ...kissmetrics.Record) {
		s.Helper()
		if err := store.Send(s.Context(), records); !errors.Is(err, s.storage.ErrFull) {
			s.Errorf("Send of %d records: %v, want %v", len(records), err, s.storage.ErrFull)
		}
	}
	for _, r := range message("a", room-1) {
		s.send(store, r)
	}
	wantFull(message("too many", room)...)
	s.send(store, record("last"))
	wantFull(record("one too many"))
	s.deliver(store, next)
	want := append(message("a", room-1), record("last"))
	s.wantTaken(next, want...)

	// There is room again, over a restart too.
	s.close(store)
	store = s.open(room)
	s.send(store, message("b", room)...)
	s.close(store)
	store = s.open(room)
	wantFull(record("one too many after a restart"))
	s.deliver(store, next)
	s.wantTaken(next, append(want, message("b", room)...)...)
}
