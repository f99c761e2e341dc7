package outboxtest

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/kissmetrics-go/kissmetrics"
)

// A store is a [Store] without the types that are its own.
type store interface {
	kissmetrics.Sender
	Run(ctx context.Context, next kissmetrics.Sender) error
	Flush(ctx context.Context) error
	Close(ctx context.Context) error
	Requeue(ctx context.Context, ids ...int64) error
	Delete(ctx context.Context, ids ...int64) error
	stats(ctx context.Context) (waiting, parked int64, err error)
	parked(ctx context.Context) ([]entry, error)
}

// An entry is what a store has parked.
type entry struct {
	id      int64
	records []kissmetrics.Record
	reason  string
}

// typed is the store of a Store. It closes that no more than once, so that a test
// may close it early.
type typed[Stats, Parked any] struct {
	Store[Stats, Parked]

	once sync.Once
}

func (s *typed[Stats, Parked]) Close(ctx context.Context) (err error) {
	s.once.Do(func() { err = s.Store.Close(ctx) })
	return err
}

func (s *typed[Stats, Parked]) stats(ctx context.Context) (waiting, parked int64, err error) {
	stats, err := s.Stats(ctx)
	if err != nil {
		return 0, 0, err
	}
	return field[int64](stats, "Waiting"), field[int64](stats, "Parked"), nil
}

func (s *typed[Stats, Parked]) parked(ctx context.Context) (entries []entry, err error) {
	for p, err := range s.Parked(ctx) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{
			id:      field[int64](p, "ID"),
			records: field[[]kissmetrics.Record](p, "Records"),
			reason:  field[string](p, "Reason"),
		})
	}
	return entries, nil
}

// field returns a field of a struct. One that is missing, or that has another
// type, is a bug in the test, and panics.
func field[V any](of any, name string) V {
	if v := reflect.ValueOf(of); v.Kind() == reflect.Struct {
		if f := v.FieldByName(name); f.IsValid() {
			if value, ok := reflect.TypeAssert[V](f); ok {
				return value
			}
		}
	}
	panic(fmt.Sprintf("outboxtest: %T has no field %s of type %s", of, name, reflect.TypeFor[V]()))
}
