package outbox_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

func TestNilIsNoPanic(t *testing.T) {
	db, box := shared(t)
	var none context.Context
	require.NoError(t, outbox.Migrate(none, db))
	require.ErrorContains(t, outbox.Migrate(t.Context(), nil), "nil")
	require.NoError(t, box.Send(none, []kissmetrics.Record{record("a")}))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.SendTx(none, tx, []kissmetrics.Record{record("b")}))
	require.NoError(t, tx.Commit())
	require.ErrorContains(t, box.SendTx(t.Context(), nil, []kissmetrics.Record{record("c")}), "nil")
	stats, err := box.Stats(none)
	require.NoError(t, err)
	assert.EqualValues(t, 2, stats.Waiting)

	require.ErrorContains(t, box.Run(t.Context(), nil), "nil")
	var recorder *kissmetricstest.Recorder
	require.ErrorContains(t, box.Run(t.Context(), recorder), "nil")
	recorder = new(kissmetricstest.Recorder)
	running := make(chan error)
	go func() { running <- box.Run(none, recorder) }()
	require.NoError(t, box.Flush(none))
	assert.Len(t, recorder.Records(), 2)
	for range box.Parked(none) {
		assert.Fail(t, "nothing is parked")
	}
	require.ErrorIs(t, box.Requeue(none, 1), outbox.ErrNotParked)
	require.ErrorIs(t, box.Delete(none, 1), outbox.ErrNotParked)
	require.NoError(t, box.Close(none))
	require.ErrorIs(t, <-running, kissmetrics.ErrClosed)
}

func TestSendTxOfATransactionThatHasEnded(t *testing.T) {
	db, box := shared(t)
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, end(tx))
		require.ErrorIs(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("a")}), sql.ErrTxDone)
	}
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.Zero(t, stats.Waiting)
}
