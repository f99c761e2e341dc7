package riverbox_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

func TestConformance(t *testing.T) {
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage {
		url := newDatabase(t)
		return outboxtest.Storage{Open: func(t *testing.T, _ int) outboxtest.Store {
			return &store{open(t, url)}
		}}
	})
}

// store is a box as the suite wants it.
type store struct{ *box }

func (s *store) Run(ctx context.Context, next kissmetrics.Sender) error {
	_, stop := s.work(config(riverbox.ImpatientWorker(next, 2*time.Millisecond)))
	<-ctx.Done()
	stop()
	return ctx.Err()
}

func (s *store) Waiting(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM river_job WHERE finalized_at IS NULL`).Scan(&n)
	return n, err
}

func (s *store) Parked(context.Context) (parked []outboxtest.Parked, err error) {
	for _, job := range s.jobs(rivertype.JobStateCancelled) {
		var args riverbox.Args
		require.NoError(s.t, json.Unmarshal(job.EncodedArgs, &args))
		records, err := args.Records()
		if err != nil {
			return nil, err
		}
		parked = append(parked, outboxtest.Parked{
			ID:      strconv.FormatInt(job.ID, 10),
			Records: records,
			Reason:  job.Errors[len(job.Errors)-1].Error,
		})
	}
	return parked, nil
}

func (s *store) Requeue(ctx context.Context, id string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	require.NoError(s.t, err)
	_, err = s.client.JobRetry(ctx, n)
	return err
}

func (s *store) Delete(ctx context.Context, id string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	require.NoError(s.t, err)
	_, err = s.client.JobDelete(ctx, n)
	return err
}

func (s *store) Close(context.Context) error {
	s.pool.Close()
	return nil
}
