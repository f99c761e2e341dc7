package kissmetrics_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// A job tracks events that a firewall on the way dislikes, one as much as the other,
// before anything else was tried or while much is.
func TestABurstOfRefusedRecordsDoesNotHoldUpTheOthers(t *testing.T) {
	for name, test := range map[string]struct {
		before, burst int
		most          time.Duration
	}{
		"at the beginning":     {0, 200, time.Minute},
		"between others":       {100, 200, time.Minute},
		"ten thousand":         {0, 10_000, 30 * time.Minute},
		"ten thousand between": {100, 10_000, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var longest time.Duration
				start := time.Now()
				q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
					time.Sleep(50 * time.Millisecond)
					tracked, err := time.ParseDuration(records[0].Name)
					if err != nil {
						return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: 403, Undelivered: slices.Clone(records)}
					}
					mu.Lock()
					defer mu.Unlock()
					longest = max(longest, time.Since(start)-tracked)
					return nil
				}))
				track := func() {
					require.NoError(t, q.Send(t.Context(), event(time.Since(start).String())))
					time.Sleep(100 * time.Millisecond)
				}
				for range test.before {
					track()
				}
				for range test.burst {
					require.NoError(t, q.Send(t.Context(), event("disliked")))
				}
				for time.Since(start) < 2*test.most {
					track()
				}
				mu.Lock()
				defer mu.Unlock()
				assert.Less(t, longest, test.most)
				assert.Less(t, q.Stats().Waiting, int64(test.burst+10))
			})
		})
	}
}
