package limit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var records = []kissmetrics.Record{kissmetrics.NewEvent("u", "e", time.Unix(1_700_000_000, 0))}

// relay delivers for a while by a limiter, and returns how many deliveries were
// under way at most, and how many succeeded.
func relay(t *testing.T, l *limit.Limiter, during time.Duration, send func() error) (most, delivered int) {
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	under := 0
	for {
		release, err := l.Acquire(ctx, records)
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			wg.Wait()
			return most, delivered
		}
		mu.Lock()
		under++
		most = max(most, under)
		mu.Unlock()
		wg.Go(func() {
			err := send()
			mu.Lock()
			under--
			if err == nil {
				delivered++
			}
			mu.Unlock()
			release(err)
			release(errors.New("calling it again has no effect"))
		})
	}
}

func TestALimiterClimbsToItsCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(100)
		assert.Equal(t, 8, l.Limit())
		most, delivered := relay(t, l, 10*time.Second, func() error {
			time.Sleep(50 * time.Millisecond)
			return nil
		})
		assert.Equal(t, 100, most)
		assert.Equal(t, 100, l.Limit())
		assert.Greater(t, delivered, 9*2000)
	})
}

func TestALimiterOfNothingIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most, _ := relay(t, limit.New(-1), time.Second, func() error {
			time.Sleep(50 * time.Millisecond)
			return nil
		})
		assert.Equal(t, 1, most)
	})
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(1)
		release, err := l.Acquire(t.Context(), records)
		require.NoError(t, err)
		for range 2 { // one waits for a place, the other for its turn
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			go func() {
				_, err := l.Acquire(ctx, records)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		release(nil)
		release, err = l.Acquire(t.Context(), records)
		require.NoError(t, err)
		release(nil)
	})
}

// What an error means for a limiter: failures make it smaller, refusals of single
// records and the end of the caller's context do not.
func TestWhatErrorsMeanToALimiter(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		smaller bool
	}{
		"unknown":     {errors.New("unknown"), true},
		"unavailable": {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, StatusCode: 500}, true},
		"overloaded":  {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, StatusCode: 503, RetryAfter: time.Second}, true},
		"too fast":    {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, StatusCode: 429, RetryAfter: time.Second}, false},
		"refused":     {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: 400}, false},
		"invalid":     {kissmetrics.Record{}.Validate(), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limit.New(100)
				relay(t, l, time.Second, func() error {
					time.Sleep(50 * time.Millisecond)
					return test.err
				})
				assert.Equal(t, test.smaller, l.Limit() < 8, "%d", l.Limit())
			})
		})
	}
}

func TestTheEndOfTheCallersContextIsNotTheServersFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(100)
		ctx, cancel := context.WithCancel(t.Context())
		var releases []func(error)
		for range 8 {
			release, err := l.Acquire(ctx, records)
			require.NoError(t, err)
			releases = append(releases, release)
		}
		cancel()
		for _, release := range releases {
			release(context.Canceled)
		}
		assert.Equal(t, 8, l.Limit())
	})
}

func TestANilContextNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(1)
		for range 3 { // one at once, one waits for a place, one for its turn
			go func() {
				release, err := l.Acquire(nil, records) //nolint:staticcheck // on purpose
				if assert.NoError(t, err) {
					time.Sleep(time.Second)
					release(errors.New("unknown"))
				}
			}()
		}
		start := time.Now()
		synctest.Wait()
		release, err := l.Acquire(t.Context(), records)
		require.NoError(t, err)
		release(nil)
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}
