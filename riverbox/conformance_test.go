package riverbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

var errNotParked = errors.New("not parked")

func TestConformance(t *testing.T) {
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage[*store] {
		url := newDatabase(t)
		return outboxtest.Storage[*store]{
			Open:         func(t *testing.T, _ int) *store { return &store{box: open(t, url)} },
			ErrNotParked: errNotParked,
		}
	})
}

// store is a box as the suite wants it.
type store struct {
	*box

	closed atomic.Bool
}

type counts struct{ Waiting, Parked int64 }

type parked struct {
	ID      int64
	Records []kissmetrics.Record
	Reason  string
}

func (s *store) ended() error {
	if s.closed.Load() {
		return kissmetrics.ErrClosed
	}
	return nil
}

func (s *store) Send(ctx context.Context, records []kissmetrics.Record) error {
	if err := s.ended(); err != nil {
		return err
	}
	return s.box.Send(ctx, records)
}

func (s *store) Run(ctx context.Context, next kissmetrics.Sender) error {
	if err := s.ended(); err != nil {
		return err
	}
	if v := reflect.ValueOf(next); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return kissmetrics.ErrInvalidOption
	}
	_, stop := s.work(config(riverbox.ImpatientWorker(next, 2*time.Millisecond)))
	<-ctx.Done()
	stop()
	return ctx.Err()
}

func (s *store) Stats(ctx context.Context) (c counts, err error) {
	if err := s.ended(); err != nil {
		return c, err
	}
	const query = `SELECT coalesce(sum(jsonb_array_length(args->'lines')) FILTER (WHERE finalized_at IS NULL), 0),
		count(*) FILTER (WHERE state = 'cancelled') FROM river_job`
	err = s.pool.QueryRow(ctx, query).Scan(&c.Waiting, &c.Parked)
	return c, err
}

func (s *store) Flush(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := s.Stats(ctx); err != nil || c.Waiting == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *store) Parked(context.Context) iter.Seq2[parked, error] {
	return func(yield func(parked, error) bool) {
		if err := s.ended(); err != nil {
			yield(parked{}, err)
			return
		}
		for _, job := range s.jobs(rivertype.JobStateCancelled) {
			var args riverbox.Args
			require.NoError(s.t, json.Unmarshal(job.EncodedArgs, &args))
			records, err := args.Records()
			require.NoError(s.t, err)
			if !yield(parked{job.ID, records, job.Errors[len(job.Errors)-1].Error}, nil) {
				return
			}
		}
	}
}

func (s *store) each(ids []int64, do func(id int64) error) error {
	err := s.ended()
	for _, id := range ids {
		err = errors.Join(err, do(id))
	}
	if errors.Is(err, rivertype.ErrNotFound) {
		return errNotParked
	}
	return err
}

func (s *store) Requeue(ctx context.Context, ids ...int64) error {
	return s.each(ids, func(id int64) error { _, err := s.client.JobRetry(ctx, id); return err })
}

func (s *store) Delete(ctx context.Context, ids ...int64) error {
	return s.each(ids, func(id int64) error { _, err := s.client.JobDelete(ctx, id); return err })
}

func (s *store) Close(context.Context) error {
	s.closed.Store(true)
	s.pool.Close()
	return nil
}
