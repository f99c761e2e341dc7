package kissmetrics_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// A record that the server never takes ends after its time, and with it the outage
// that it was taken for.
func TestARecordThatIsNeverTakenIsGivenUpAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &outcomes{}
		var log bytes.Buffer
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
			if records[0].Name == "poison" {
				return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, StatusCode: 500, Reason: "500 Internal Server Error"}
			}
			return nil
		}), kissmetrics.WithMaxAge(10*time.Minute), kissmetrics.WithOnResult(told.note), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		start := time.Now()
		require.NoError(t, q.Send(t.Context(), event("poison")))
		require.NoError(t, q.Send(t.Context(), event("good")))
		require.NoError(t, q.Flush(t.Context()))
		assert.GreaterOrEqual(t, time.Since(start), 10*time.Minute)
		assert.LessOrEqual(t, time.Since(start), 10*time.Minute+30*time.Second, "at the next attempt")
		require.NoError(t, told.of(t, "good"))
		failed := requireDelivery(t, told.of(t, "poison"))
		assert.True(t, failed.Retryable())
		assert.Equal(t, event("poison"), failed.Undelivered)
		assert.ErrorContains(t, failed, "not within 10m0s; the last failure: kissmetrics: delivery unavailable: 500")
		assert.Equal(t, http.StatusInternalServerError, requireDelivery(t, failed.Err).StatusCode)
		assert.Len(t, linesWith(&log, "were not delivered"), 1)
		time.Sleep(time.Minute) // until the next attempt, for which there is nothing
		synctest.Wait()
		assert.Equal(t, kissmetrics.Stats{Accepted: 2, Delivered: 1, Failed: 1}, q.Stats())
	})
}

// In an outage everything that is too old is given up, not only what is tried.
func TestAnOutageEndsForWhatIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		after := map[string]time.Duration{}
		start := time.Now()
		q := newQueue(t, senderFunc(func(_ context.Context, records []kissmetrics.Record) error { return unavailable(records) }),
			kissmetrics.WithMaxAge(10*time.Minute),
			kissmetrics.WithOnResult(func(_ context.Context, r kissmetrics.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				after[r.Name] = time.Since(start)
				assert.Equal(t, []kissmetrics.Record{r}, requireDelivery(t, err).Undelivered)
			}))
		for i := range 60 { // seconds
			require.NoError(t, q.Send(t.Context(), event(strconv.Itoa(i))))
			time.Sleep(time.Second)
		}
		require.NoError(t, q.Flush(t.Context()))
		for i := range 60 {
			age := after[strconv.Itoa(i)] - time.Duration(i)*time.Second
			assert.GreaterOrEqual(t, age, 10*time.Minute)
			assert.LessOrEqual(t, age, 10*time.Minute+30*time.Second)
		}
		assert.Equal(t, kissmetrics.Stats{Accepted: 60, Failed: 60, Outage: true}, q.Stats())
		require.NoError(t, q.Close(t.Context()))
	})
}

// What waits for its turn is not given up while the server takes something.
func TestWhatIsOldAndWaitsIsTriedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, senderFunc(func(context.Context, []kissmetrics.Record) error {
			time.Sleep(time.Hour)
			return nil
		}), kissmetrics.WithWorkers(1), kissmetrics.WithMaxAge(time.Minute))
		for range 3 {
			require.NoError(t, q.Send(t.Context(), event("e")))
		}
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, kissmetrics.Stats{Accepted: 3, Delivered: 3}, q.Stats())
	})
}

// What is refused on its way is tried for a day, by the age of the message and not
// of the queue.
func TestTheAgeOfAMessageDoesNotBeginBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &outcomes{}
		start := time.Now()
		q := newQueue(t, senderFunc(func(context.Context, []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: 403, Undelivered: event("e")}
		}), kissmetrics.WithOnResult(told.note))
		time.Sleep(48 * time.Hour)
		require.NoError(t, q.Send(t.Context(), event("e")))
		require.NoError(t, q.Flush(t.Context()))
		assert.GreaterOrEqual(t, time.Since(start), 72*time.Hour)
		assert.Equal(t, http.StatusForbidden, requireDelivery(t, told.of(t, "e")).StatusCode)
		assert.Equal(t, kissmetrics.Stats{Accepted: 1, Failed: 1}, q.Stats())
	})
}
