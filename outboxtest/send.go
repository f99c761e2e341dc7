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

// ending has contexts end while records are being stored. What Send then returned
// nil for is stored; of the rest, each message is stored as a whole or not at all.
func (s *suite) ending() {
	const messages, each = 40, 3
	store, next := s.open(0), &receiver{}
	names := make(chan string, messages)
	var senders sync.WaitGroup
	for m := range messages {
		senders.Go(func() {
			ctx, cancel := context.WithTimeout(s.Context(), time.Duration(m)*100*time.Microsecond)
			defer cancel()
			name := "m" + strconv.Itoa(m)
			if err := store.Send(ctx, message(name, each)); err == nil {
				names <- name
			}
		})
	}
	senders.Wait()
	close(names)
	s.send(store, record("last-0"))
	s.deliver(store, next)
	arrived := make(map[string]int)
	for _, r := range once(next.taken()) {
		name, _, _ := strings.Cut(r.Name, "-")
		arrived[name]++
	}
	delete(arrived, "last")
	for name := range names {
		if arrived[name] != each {
			s.Errorf("%d records of %s are delivered, for which Send returned nil", arrived[name], name)
		}
	}
	for name, n := range arrived {
		if n != each {
			s.Errorf("%d records of %s are delivered, want all %d or none", n, name, each)
		}
	}
}

func (s *suite) closed() {
	store, next := s.open(0), &receiver{}
	s.send(store, record("before"))
	s.close(store)
	ctx, cancel := context.WithTimeout(s.Context(), time.Second) // for one that runs nevertheless
	defer cancel()
	_, _, statsErr := store.stats(ctx)
	_, parkedErr := store.parked(ctx)
	for call, err := range map[string]error{
		"Send":    store.Send(ctx, message("after", 2)),
		"Run":     store.Run(ctx, next),
		"Flush":   store.Flush(ctx),
		"Stats":   statsErr,
		"Parked":  parkedErr,
		"Requeue": store.Requeue(ctx, 1),
		"Delete":  store.Delete(ctx, 1),
	} {
		if !errors.Is(err, kissmetrics.ErrClosed) {
			s.Errorf("%s after Close: %v, want ErrClosed", call, err)
		}
	}
	s.deliver(s.open(0), next)
	s.wantTaken(next, record("before"))
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
				if _, _, err := store.stats(s.Context()); err != nil {
					s.Errorf("Stats: %v", err)
				}
			}
		})
	}
	senders.Wait()
	s.awaitEmpty(store)
	s.wantTaken(next, want...)
}

func (s *suite) full() {
	if s.errFull == nil {
		s.Log("this store knows no bound")
		return
	}
	const room = 4
	store, next := s.open(room), &receiver{}
	wantFull := func(records ...kissmetrics.Record) {
		s.Helper()
		if err := store.Send(s.Context(), records); !errors.Is(err, s.errFull) {
			s.Errorf("Send of %d records: %v, want %v", len(records), err, s.errFull)
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
