package kissmetrics_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestWhatIsTriedAgain(t *testing.T) {
	unavailable := map[int]bool{408: true, 425: true, 429: true}
	for status := 200; status <= 600; status++ {
		synctest.Test(t, func(t *testing.T) {
			doer := &script{answers: []answer{{status: status}, {status: 200}}}
			err := newClient(t, kissmetrics.WithDoer(doer)).Track(t.Context(), ok)
			switch {
			case status >= 200 && status <= 299, status == http.StatusNotModified:
				require.NoError(t, err, "%d", status)
				require.Len(t, doer.times, 1)
			default:
				require.NoError(t, err, "%d", status)
				require.Len(t, doer.times, 2)
			}
			doer = &script{answers: []answer{{status: status}}}
			err = newClient(t, kissmetrics.WithDoer(doer)).Track(t.Context(), ok)
			if len(doer.times) == 1 {
				require.NoError(t, err, "%d", status)
				return
			}
			failed := requireDelivery(t, err)
			require.Len(t, doer.times, 4)
			require.Equal(t, status, failed.StatusCode)
			require.True(t, failed.Retryable())
			want := kissmetrics.FailureRefused
			if unavailable[status] || status >= 500 && status <= 599 {
				want = kissmetrics.FailureUnavailable
			}
			require.Equal(t, want, failed.Kind, "%d", status)
		})
	}
}

func TestRetrySchedule(t *testing.T) {
	longest := make([]time.Duration, 3)
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			doer := &script{answers: []answer{{err: io.ErrUnexpectedEOF}}}
			err := newClient(t, kissmetrics.WithDoer(doer)).Track(t.Context(), ok)
			failed := requireDelivery(t, err)
			assert.Equal(t, kissmetrics.FailureUnavailable, failed.Kind)
			assert.True(t, failed.Retryable())
			assert.Equal(t, 4, failed.Attempts)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			for i, wait := range doer.waits() {
				assert.LessOrEqual(t, wait, 500*time.Millisecond<<i)
				longest[i] = max(longest[i], wait)
			}
		})
	}
	for i, wait := range longest { // missed with a chance of 10⁻¹³
		assert.Greater(t, wait, 500*time.Millisecond<<i*9/10)
	}
}

func TestRetryOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doer := &script{answers: []answer{{status: 503}}}
		client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithMaxAttempts(50), kissmetrics.WithBackoff(time.Second, 3*time.Second))
		failed := requireDelivery(t, client.Track(t.Context(), ok))
		assert.Equal(t, 50, failed.Attempts)
		assert.Equal(t, 503, failed.StatusCode)
		for _, wait := range doer.waits() {
			assert.LessOrEqual(t, wait, 3*time.Second)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	tests := map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"seconds":        {after("7"), 7 * time.Second},
		"clamped":        {after("86400"), 5 * time.Minute},
		"a date":         {nil, 90 * time.Second}, // made in the bubble, below
		"not understood": {after("soon"), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if test.header == nil {
					test.header = after(time.Now().UTC().Add(test.want).Format(http.TimeFormat))
				}
				doer := &script{answers: []answer{{status: 429, header: test.header}, {status: 200}}}
				client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithBackoff(time.Millisecond, time.Millisecond))
				require.NoError(t, client.Track(t.Context(), ok))
				assert.InDelta(t, test.want, doer.waits()[0], float64(time.Millisecond))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		doer := &script{answers: []answer{{status: 503, header: after("7")}}}
		failed := requireDelivery(t, newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithMaxAttempts(1)).Track(t.Context(), ok))
		assert.Equal(t, 7*time.Second, failed.RetryAfter)
	})
}

func TestADeadlineBeforeTheNextAttemptIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doer := &script{answers: []answer{{status: 503, header: after("120")}}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		failed := requireDelivery(t, newClient(t, kissmetrics.WithDoer(doer)).Track(ctx, ok))
		assert.Zero(t, time.Since(start))
		assert.Equal(t, kissmetrics.FailureUnavailable, failed.Kind)
		assert.Equal(t, 2*time.Minute, failed.RetryAfter)
	})
}

func TestCancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doer := &script{answers: []answer{{status: 503, header: after("60")}}}
		client := newClient(t, kissmetrics.WithDoer(doer))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(10*time.Second, cancel)
		start := time.Now()
		err := client.Track(ctx, order)
		assert.Equal(t, 10*time.Second, time.Since(start))
		require.ErrorIs(t, err, context.Canceled)
		failed := requireDelivery(t, err)
		assert.Equal(t, kissmetrics.FailureCanceled, failed.Kind)
		assert.True(t, failed.Retryable())
		assert.Equal(t, 1, failed.Attempts)
		assert.Len(t, failed.Undelivered, 3)
	})
}

func TestCanceledBeforehandSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	doer := &script{answers: []answer{{status: 200}}}
	err := newClient(t, kissmetrics.WithDoer(doer)).Track(ctx, order)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, requireDelivery(t, err).Attempts)
	assert.Empty(t, doer.times)
}

func TestEachAttemptHasATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		client := newClient(t, kissmetrics.WithDoer(hangs), kissmetrics.WithTimeout(time.Second), kissmetrics.WithMaxAttempts(3))
		failed := requireDelivery(t, client.Track(t.Context(), ok))
		assert.Equal(t, kissmetrics.FailureUnavailable, failed.Kind)
		assert.Equal(t, 3, failed.Attempts)
		assert.ErrorContains(t, failed, "timeout")
	})
}

func TestDefaultTimeoutIsTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		_ = requireDelivery(t, newClient(t, kissmetrics.WithDoer(hangs), kissmetrics.WithMaxAttempts(1)).Track(t.Context(), ok))
		assert.Equal(t, 10*time.Second, time.Since(start))
	})
}

func TestOnceTriesOnce(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{Status: http.StatusBadGateway})
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithBackoff(time.Millisecond, time.Millisecond))
	require.NoError(t, err)
	defer sender.CloseIdleConnections()
	records := []kissmetrics.Record{{Kind: kissmetrics.KindEvent, Person: "u", Name: "E", Time: time.Unix(1_700_000_000, 0)}}
	failed := requireDelivery(t, sender.Once().Send(t.Context(), records))
	assert.Equal(t, 1, failed.Attempts)
	assert.Len(t, server.Requests(), 1)

	server.Fail(kissmetricstest.Fault{Status: http.StatusBadGateway})
	require.NoError(t, sender.Send(t.Context(), records), "the sender itself goes on as before")
	assert.Len(t, server.Requests(), 3)
	assert.Equal(t, 1, server.Connections(), "both have the same")
}
