package outbox_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/outbox"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
)

var _ kissmetrics.Sender = (*outbox.Outbox)(nil)

// quick has the relay try again at once.
var quick = outbox.WithBackoff(time.Millisecond, 5*time.Millisecond)

// store is an outbox as the conformance suite knows one.
type store struct{ *outbox.Outbox }

func (s store) Waiting(ctx context.Context) (int, error) {
	stats, err := s.Stats(ctx)
	return int(stats.Waiting), err
}

func (s store) Parked(ctx context.Context) (all []outboxtest.Parked, err error) {
	for p, err := range s.Outbox.Parked(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, outboxtest.Parked{ID: strconv.FormatInt(p.ID, 10), Records: p.Records, Reason: p.Reason})
	}
	return all, nil
}

func (s store) Requeue(ctx context.Context, id string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return err
	}
	return s.Outbox.Requeue(ctx, n)
}

func (s store) Delete(ctx context.Context, id string) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return err
	}
	return s.Outbox.Delete(ctx, n)
}

func TestConformance(t *testing.T) {
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage {
		path := filepath.Join(t.TempDir(), "outbox.db")
		return outboxtest.Storage{
			ErrFull: outbox.ErrFull,
			Open: func(t *testing.T, maxRecords int) outboxtest.Store {
				options := []outbox.Option{quick}
				if maxRecords > 0 {
					options = append(options, outbox.WithMaxRecords(int64(maxRecords)))
				}
				box, err := outbox.Open(path, options...)
				require.NoError(t, err)
				return store{box}
			},
		}
	})
}

// open opens an outbox until the test ends.
func open(t testing.TB, path string, options ...outbox.Option) *outbox.Outbox {
	t.Helper()
	box, err := outbox.Open(path, append([]outbox.Option{quick}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { closeBox(t, box) })
	return box
}

func closeBox(t testing.TB, box *outbox.Outbox) {
	t.Helper()
	assert.NoError(t, box.Close(context.Background()))
}
