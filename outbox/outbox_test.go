package outbox_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/outbox"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
)

var _ outboxtest.Store[outbox.Stats, outbox.Parked] = (*outbox.Outbox)(nil)

// quick has the relay try again at once.
var quick = outbox.WithBackoff(time.Millisecond, 5*time.Millisecond)

func TestConformance(t *testing.T) {
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage[*outbox.Outbox] {
		path := filepath.Join(t.TempDir(), "outbox.db")
		return outboxtest.Storage[*outbox.Outbox]{
			ErrNotParked: outbox.ErrNotParked,
			ErrFull:      outbox.ErrFull,
			Open: func(t *testing.T, maxRecords int) *outbox.Outbox {
				options := []outbox.Option{quick}
				if maxRecords > 0 {
					options = append(options, outbox.WithMaxRecords(int64(maxRecords)))
				}
				box, err := outbox.Open(t.Context(), path, options...)
				require.NoError(t, err)
				return box
			},
		}
	})
}

// open opens an outbox until the test ends.
func open(t testing.TB, path string, options ...outbox.Option) *outbox.Outbox {
	t.Helper()
	box, err := outbox.Open(t.Context(), path, append([]outbox.Option{quick}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { closeBox(t, box) })
	return box
}

func closeBox(t testing.TB, box *outbox.Outbox) {
	t.Helper()
	assert.NoError(t, box.Close(context.Background()))
}
