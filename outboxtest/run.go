package outboxtest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

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

func (s *suite) nilNext() {
	store := s.open(0)
	ctx, cancel := context.WithTimeout(s.Context(), time.Second) // for one that runs nevertheless
	defer cancel()
	for _, next := range []kissmetrics.Sender{nil, (*kissmetrics.HTTPSender)(nil)} {
		if err := store.Run(ctx, next); !errors.Is(err, kissmetrics.ErrInvalidOption) {
			s.Errorf("Run with a nil %T: %v, want ErrInvalidOption", next, err)
		}
	}
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

func (s *suite) flush() {
	store := s.open(0)
	if err := store.Flush(s.Context()); err != nil {
		s.Errorf("Flush of nothing: %v", err)
	}
	s.send(store, record("good"))
	if s.parks() {
		s.send(store, record("bad"))
	}
	short, cancel := context.WithTimeout(s.Context(), 20*time.Millisecond)
	defer cancel()
	if err := store.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("Flush without a relay: %v, want context.DeadlineExceeded", err)
	}
	next := &receiver{respond: refusing("bad")}
	s.start(store, next)
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := store.Flush(ctx); err != nil {
		s.Errorf("Flush: %v", err)
	}
	s.wantTaken(next, record("good"))
	if s.parks() {
		s.wantParked(store, record("bad"))
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
	if !s.parks() {
		return
	}
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

// takeOver opens the storage twice, as two processes do.
func (s *suite) takeOver() {
	if s.exclusive {
		s.Log("this storage is open once at a time")
		return
	}
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
