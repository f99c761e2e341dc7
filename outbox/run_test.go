package outbox_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// A transaction of the application's keeps the file locked for longer than
// anybody waits.
func TestALongTransactionIsWaitedFor(t *testing.T) {
	t.Parallel()
	db, box := shared(t, outbox.WithBusy(300*time.Millisecond))
	var recorder kissmetricstest.Recorder
	start(t, box, &recorder)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("in it")}))

	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, box.Send(short, []kissmetrics.Record{record("impatient")}), context.DeadlineExceeded)
	stats, err := box.Stats(t.Context())
	require.NoError(t, err, "what reads need not wait")
	assert.Zero(t, stats.Waiting, "what is not committed is not there")
	err = box.Send(t.Context(), []kissmetrics.Record{record("refused")})
	assert.True(t, isKind(err, outbox.StorageBusy), "%v", err)

	require.NoError(t, tx.Commit())
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("after")}))
	require.NoError(t, box.Flush(t.Context()))
	var names []string
	for _, r := range recorder.Records() {
		names = append(names, r.Name)
	}
	assert.Contains(t, names, "in it")
	assert.Contains(t, names, "after")
	assert.NotContains(t, names, "refused")
	assert.NotContains(t, names, "impatient", "an error of the context means that nothing was stored")
}

func TestTheEndOfRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T, box *outbox.Outbox, blocked chan struct{}){
		"several run, and the outbox is closed": func(t *testing.T, box *outbox.Outbox, blocked chan struct{}) {
			next := senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
				close(blocked)
				<-ctx.Done()
				return ctx.Err()
			})
			ended := make(chan error)
			for range 3 {
				go func() { ended <- box.Run(context.Background(), next) }()
			}
			<-blocked
			require.NoError(t, box.Close(t.Context()))
			for range 3 {
				require.ErrorIs(t, <-ended, kissmetrics.ErrClosed)
			}
		},
		"the next sender closes the outbox": func(t *testing.T, box *outbox.Outbox, _ chan struct{}) {
			closed := make(chan error, 1)
			next := senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
				closed <- box.Close(ctx)
				return nil
			})
			require.ErrorIs(t, box.Run(t.Context(), next), kissmetrics.ErrClosed)
			require.ErrorIs(t, <-closed, context.Canceled, "it waits for what it is part of, until that is told to end")
			require.NoError(t, box.Close(t.Context()))
		},
		"the next sender does not end": func(t *testing.T, box *outbox.Outbox, blocked chan struct{}) {
			leave := make(chan struct{})
			next := senderFunc(func(context.Context, []kissmetrics.Record) error {
				close(blocked)
				<-leave
				return nil
			})
			ended := make(chan error)
			go func() { ended <- box.Run(context.Background(), next) }()
			<-blocked
			expired, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			require.ErrorIs(t, box.Close(expired), context.DeadlineExceeded)
			assert.ErrorIs(t, box.Send(t.Context(), []kissmetrics.Record{record("late")}), kissmetrics.ErrClosed)
			assert.ErrorIs(t, box.Delete(t.Context(), 1), kissmetrics.ErrClosed)
			close(leave)
			require.NoError(t, box.Close(t.Context()), "closing went on")
			require.ErrorIs(t, <-ended, kissmetrics.ErrClosed)
		},
		"its context has ended before": func(t *testing.T, box *outbox.Outbox, _ chan struct{}) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.NoError(t, box.Run(ctx, senderFunc(func(context.Context, []kissmetrics.Record) error {
				assert.Fail(t, "something is sent")
				return nil
			})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := open(t, filepath.Join(t.TempDir(), "outbox.db"))
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
			test(t, box, make(chan struct{}))
		})
	}
}
