package bulk_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
)

// quick tries again at once.
var quick = bulk.WithBackoff(time.Millisecond, 5*time.Millisecond)

// A relay is a sender whose bucket is another sender, as the suite has it: each object
// is a message.
type relay struct {
	*bulk.Sender

	next atomic.Value // of kissmetrics.Sender
}

type stats struct{ Waiting, Parked int64 }

type parked struct {
	ID      int64
	Records []kissmetrics.Record
	Reason  string
}

func (r *relay) put(ctx context.Context, _, _ string, lines io.Reader) (err error) {
	var records []kissmetrics.Record
	for read, err := range kissmetrics.ReadImport(lines) {
		if err != nil {
			return err
		}
		records = append(records, read.Record)
	}
	defer func() {
		if recover() != nil {
			err = errors.New("the next sender panicked")
		}
	}()
	return r.next.Load().(func(context.Context, []kissmetrics.Record) error)(ctx, records)
}

func (r *relay) Run(ctx context.Context, next kissmetrics.Sender) error {
	if nilness.IsNil(next) { // for which there is no place
		return kissmetrics.ErrInvalidOption
	}
	r.next.Store(next.Send)
	return r.Sender.Run(ctx)
}

func (r *relay) Stats(ctx context.Context) (stats, error) {
	s, err := r.Sender.Stats(ctx)
	return stats{Waiting: s.Waiting}, err
}

func (r *relay) Parked(ctx context.Context) iter.Seq2[parked, error] {
	return func(yield func(parked, error) bool) {
		if _, err := r.Stats(ctx); err != nil {
			yield(parked{}, err)
		}
	}
}

func (r *relay) Requeue(ctx context.Context, _ ...int64) error {
	_, err := r.Stats(ctx)
	return err
}

func (r *relay) Delete(ctx context.Context, _ ...int64) error {
	_, err := r.Stats(ctx)
	return err
}

// TestConformance runs the suite of every durable sender. An import refuses nothing
// that it tells of, so nothing is parked.
func TestConformance(t *testing.T) {
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage[*relay] {
		dir := t.TempDir()
		return outboxtest.Storage[*relay]{
			ErrFull:   bulk.ErrFull,
			Exclusive: true,
			Open: func(t *testing.T, maxRecords int) *relay {
				r := &relay{}
				options := []bulk.Option{quick, bulk.WithInterval(time.Millisecond), bulk.WithPut(r.put)}
				if maxRecords > 0 {
					options = append(options, bulk.WithMaxRecords(int64(maxRecords)))
				}
				var err error
				r.Sender, err = bulk.Open(t.Context(), dir, bulk.Bucket{Name: "bucket", Base: "shop"}, options...)
				require.NoError(t, err)
				return r
			},
		}
	})
}
