package collect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// A moody sender fails in all ways in turn, and stores now and then.
type moody struct {
	next  kissmetrics.Sender
	calls atomic.Int64
}

func (m *moody) Send(ctx context.Context, records []kissmetrics.Record) error {
	switch call := m.calls.Add(1); call % 7 {
	case 0:
		panic("s3cret")
	case 1:
		return kissmetrics.ErrQueueFull
	case 2:
		return errors.New("away")
	case 3: // it stores, and nobody hears of it
		return errors.Join(m.next.Send(ctx, records), context.DeadlineExceeded)
	case 4:
		half := len(records) / 2
		if err := m.next.Send(ctx, records[:half]); err != nil {
			return err
		}
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: records[:half], Undelivered: records[half:]}
	case 5:
		time.Sleep(time.Duration(call%300) * time.Millisecond)
	}
	return m.next.Send(ctx, records)
}

// TestStorm has 200 clients send at once, each of which repeats until it is told that
// all was accepted. Some give up and repeat while the first try is under way.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		const clients, batches = 200, 3
		var kept kissmetricstest.Recorder
		queue, err := kissmetrics.NewQueue(&kept)
		require.NoError(t, err)
		r := (&receiver{}).with(t, &moody{next: queue})
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for n := range batches {
					id := fmt.Sprint(client, "-", n)
					r.persist(t, batch(
						fmt.Sprintf(`{"type":"track","messageId":"%s-a","userId":"u","event":"%[1]s-a","properties":{"products":[{"x":1}]},"timestamp":%s}`, id, stamp(time.Now())),
						fmt.Sprintf(`{"type":"track","messageId":"%s-b","userId":"u","event":"%[1]s-b"}`, id),
						fmt.Sprintf(`{"type":"track","messageId":"%s-c","userId":"u","event":"%[1]s-c",%s}`, id, at),
						`{"type":"track"}`,
					))
				}
			})
		}
		wg.Wait()
		require.NoError(t, queue.Close(t.Context()))
		seconds := map[string]time.Time{}
		for _, record := range kept.Records() {
			if record.Kind != kissmetrics.KindEvent {
				continue
			}
			first, ok := seconds[record.Name]
			assert.True(t, !ok || first.Equal(record.Time), "%s counts twice", record.Name)
			seconds[record.Name] = record.Time
		}
		assert.Len(t, seconds, clients*batches*3)
		refused := 0
		for _, outcome := range r.outcomes() {
			if outcome == collect.Refused {
				refused++
			}
		}
		assert.GreaterOrEqual(t, refused, clients*batches)
	})
}

// persist makes a request until it is answered with 200.
func (r *receiver) persist(t *testing.T, body string) {
	for try := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/batch", strings.NewReader(body))
		request.SetBasicAuth(writeKey, "")
		w := httptest.NewRecorder()
		if try%3 == 1 { // it gives up
			time.AfterFunc(20*time.Millisecond, cancel)
		}
		r.ServeHTTP(w, request)
		cancel()
		assert.NotContains(t, w.Body.String(), "s3cret")
		if w.Code == http.StatusOK {
			return
		}
		seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
		if !assert.NoError(t, err, w.Body.String()) {
			return
		}
		time.Sleep(time.Duration(seconds) * time.Second)
	}
	t.Error("never accepted")
}
