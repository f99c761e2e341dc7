package outbox_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// captive refuses everything, as a portal on the way does.
var captive = senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
	return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: http.StatusForbidden, Undelivered: records}
})

// What something on the way refuses is parked when one Run has tried it for a day: not
// what several have tried for that long together, and not what has waited without any.
func TestWhatIsRefusedOnItsWayIsParkedAfterADayOfOneRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		alone  time.Duration // before the first Run
		runs   []time.Duration
		parked int64
	}{
		{"days without a run, and a short one", 72 * time.Hour, []time.Duration{time.Minute}, 0},
		{"days without a run, and one of a day", 72 * time.Hour, []time.Duration{25 * time.Hour}, 1},
		{"several runs of less than a day", 0, []time.Duration{13 * time.Hour, 13 * time.Hour}, 0},
	} {
		if tt.runs[0] > time.Hour && !trial.Long() {
			continue // a relay looks ten times a second, which even in a bubble takes its time
		}
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "outbox.db")
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				box, err := outbox.Open(t.Context(), path, outbox.WithWatchEvery(time.Hour))
				require.NoError(t, err)
				require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
				time.Sleep(tt.alone)
				for _, lasts := range tt.runs {
					ctx, cancel := context.WithTimeout(t.Context(), lasts)
					require.NoError(t, box.Run(ctx, captive))
					cancel()
				}
				stats, err := box.Stats(t.Context())
				require.NoError(t, err)
				assert.Equal(t, tt.parked, stats.Parked)
				assert.Equal(t, 1-tt.parked, stats.Waiting)
				if tt.parked == 0 {
					assert.Equal(t, begun.Truncate(time.Second).UTC(), stats.Oldest, "which shows its age")
				}
				require.NoError(t, box.Close(t.Context()))
			})
		})
	}
}
