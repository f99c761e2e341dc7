package riverbox_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

func TestWhatIsRefusedIsParked(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	refuse := func(r *http.Request) *kissmetricstest.Fault {
		if r.Form.Get("_n") == "Event 1" {
			return &kissmetricstest.Fault{Status: http.StatusBadRequest}
		}
		return nil
	}
	// The refusal is remembered over a failure of another record.
	server.Fail(kissmetricstest.Fault{}, kissmetricstest.Fault{Status: http.StatusBadRequest}, kissmetricstest.Fault{Status: 503})
	server.FailWith(refuse)
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), events("ada", 3)))
	b.deliver(strict(httpSender(t, server)))
	parked := b.await(1, rivertype.JobStateCancelled)[0]
	assert.Len(t, server.Events("ada"), 2, "the others are delivered")
	require.NotEmpty(t, parked.Errors)
	assert.Contains(t, parked.Errors[len(parked.Errors)-1].Error, "refused: 400 Bad Request")

	_, err := b.client.JobRetry(t.Context(), parked.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		jobs := b.jobs(rivertype.JobStateCancelled)
		return len(jobs) == 1 && len(jobs[0].Errors) == 2
	}, patience, 10*time.Millisecond, "it is refused again")

	server.FailWith(nil)
	require.NoError(t, b.Send(t.Context(), events("ada", 3)), "a repeat of what is parked is another chance")
	b.await(1, rivertype.JobStateCompleted)
	assert.Len(t, server.Events("ada"), 3)
	// Retried by hand, it is delivered too: River does not take it for a repeat.
	_, err = b.client.JobRetry(t.Context(), parked.ID)
	require.NoError(t, err)
	b.await(2, rivertype.JobStateCompleted)
	assert.Len(t, server.Events("ada"), 3, "an exact repeat, which Kissmetrics ignores")
}

// Whoever parked it, and whatever else River has: what is parked can be requeued.
func TestWhatIsParkedCanBeRequeued(t *testing.T) {
	t.Parallel()
	b := open(t, newDatabase(t))
	refuse := senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, Refused: records}
	})
	var ids []int64
	park := func() {
		t.Helper()
		require.NoError(t, b.Send(t.Context(), events("ada", 2)))
		require.Len(t, b.jobs(rivertype.JobStateAvailable), 1)
	}
	park()
	_, stop := b.work(config(riverbox.NewWorker(b.Sender, refuse)))
	b.await(1, rivertype.JobStateCancelled)
	stop()
	park()
	byHand := b.jobs(rivertype.JobStateAvailable)[0].ID
	_, err := b.client.JobCancel(t.Context(), byHand)
	require.NoError(t, err)
	park()
	_, err = b.pool.Exec(t.Context(), `UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE state = 'available'`)
	require.NoError(t, err)
	park() // the same message again, which waits
	_, err = b.client.JobRetry(t.Context(), byHand)
	require.ErrorContains(t, err, "23505", "what River itself says of one that was not parked by the worker")

	for p, err := range b.Parked(t.Context()) {
		require.NoError(t, err)
		assert.Equal(t, events("ada", 2), p.Records)
		ids = append(ids, p.ID)
	}
	require.Len(t, ids, 3)
	assert.EqualValues(t, 3, b.stats().Parked)
	require.ErrorIs(t, b.Requeue(t.Context(), ids[0], 1<<60), riverbox.ErrNotParked)
	assert.EqualValues(t, 3, b.stats().Parked, "all or none")
	require.NoError(t, b.Requeue(t.Context(), ids...))
	assert.Zero(t, b.stats().Parked)
	assert.EqualValues(t, 8, b.stats().Waiting)
	require.ErrorIs(t, b.Requeue(t.Context(), ids...), riverbox.ErrNotParked)
	require.ErrorIs(t, b.Delete(t.Context(), ids...), riverbox.ErrNotParked, "they wait")
	next := &kissmetricstest.Recorder{}
	b.run(next)
	require.NoError(t, b.Flush(t.Context()))
	assert.Len(t, next.Records(), 8)
}

func TestProgressThatCannotBeBeginsAnew(t *testing.T) {
	t.Parallel()
	next := &kissmetricstest.Recorder{}
	b := open(t, newDatabase(t))
	metadata := []string{
		`{"kissmetrics":{"done":2}}`, `{"kissmetrics":{"done":-1}}`, `{"kissmetrics":{"done":1e99}}`, `{"kissmetrics":{"done":1,"failures":-1}}`,
		`{"kissmetrics":"x"}`, `{"kissmetrics":null}`, `{"kissmetrics":{"done":[]}}`,
	}
	for i, m := range metadata {
		require.NoError(t, b.Send(t.Context(), events("p"+strconv.Itoa(i), 2)))
		_, err := b.pool.Exec(t.Context(), `UPDATE river_job SET metadata = metadata || $1 WHERE id = (SELECT max(id) FROM river_job)`, m)
		require.NoError(t, err)
	}
	b.deliver(next)
	for _, job := range b.await(len(metadata), rivertype.JobStateCompleted) {
		assert.Empty(t, job.Errors)
	}
	assert.Len(t, next.Records(), 2*len(metadata))
}

func TestWhatCannotBeReadIsSetAside(t *testing.T) {
	t.Parallel()
	next := &kissmetricstest.Recorder{}
	b := open(t, newDatabase(t))
	insert := func(args string) (id int64) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `INSERT INTO river_job (kind, queue, args, max_attempts)
			VALUES ('kissmetrics_records', 'kissmetrics', $1, 100) RETURNING id`, args).Scan(&id))
		return id
	}
	for _, args := range []string{
		`{}`, `[]`, `"text"`, `{"version":1}`, `{"version":1,"lines":"x"}`, `{"version":1,"lines":[1]}`, `{"version":1,"lines":["{"]}`,
		`{"version":1,"lines":["{\"_p\":\"ada\",\"_t\":1700000000,\"_n\":\"E\"}","{\"_p\":\"\"}"]}`, `{"version":0,"lines":["{}"]}`,
	} {
		insert(args)
	}
	newer := insert(`{"version":2,"lines":[]}`)
	require.NoError(t, b.Send(t.Context(), events("ada", 1)))
	b.deliver(next)
	b.await(1, rivertype.JobStateCompleted)
	for _, job := range b.await(9, rivertype.JobStateCancelled) {
		assert.Contains(t, job.Errors[0].Error, riverbox.ErrUnreadable.Error())
	}
	assert.Len(t, next.Records(), 1, "nothing of it is sent")
	assert.Equal(t, newer, b.await(1, rivertype.JobStateScheduled)[0].ID, "a newer program can read it")
}
