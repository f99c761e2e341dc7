package queue

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

// courierFunc is a courier that has nothing to report.
type courierFunc func(ctx context.Context, m *Message) Result

func (f courierFunc) Deliver(ctx context.Context, m *Message, _ time.Duration) Result {
	return f(ctx, m)
}
func (f courierFunc) Report(*Message) {}

// newEngine returns an engine whose messages are delivered by deliver, and a
// function that closes it and returns what was left.
func newEngine(change func(*Config), deliver courierFunc) (*Engine, func(context.Context) []string) {
	config := Config{
		MaxRecords: 1000, MaxBytes: 1 << 20, Ceiling: 8,
		InitialWait: time.Second, MaxWait: 30 * time.Second, MaxRetryAfter: 5 * time.Minute,
		NewCourier: func() Courier { return deliver },
		Lost:       func(*Message, Reason, error) {},
		Outage:     func(int, error) {},
		Recovered:  func(time.Duration) {},
	}
	if change != nil {
		change(&config)
	}
	e := New(config)
	return e, func(ctx context.Context) (left []string) {
		e.Close(ctx, func(l Left) {
			for _, m := range l.Messages {
				left = append(left, m.Payload())
			}
		})
		return left
	}
}

func accept(t *testing.T, e *Engine, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		require.NoError(t, e.Accept(t.Context(), NewMessage(p, 1, nil)))
	}
}

func delivered(m *Message) Result { return Result{Delivered: m.Records()} }

// The prober comes back when the limiter has fewer places than are taken, and the
// one that frees a place must not try itself: it has to wake the prober.
func TestAPlaceThatIsFreedInAnOutageGoesToTheProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		e, end := newEngine(func(c *Config) { c.Ceiling = 3 }, func(_ context.Context, m *Message) Result {
			switch {
			case m.Payload() == "slow" && time.Since(begin) < time.Minute:
				time.Sleep(time.Hour)
				return Result{Err: errDown}
			case time.Since(begin) < time.Minute:
				return Result{Err: errDown}
			}
			return delivered(m)
		})
		accept(t, e, "slow", "a", "b", "c")
		time.Sleep(2 * time.Hour)
		assert.EqualValues(t, 4, e.Stats().Delivered)
		assert.Empty(t, end(t.Context()))
	})
}

// Failures that come at once would be most of what is known, if they were noted sooner
// than the answers that are under way.
func TestAFailureIsNotedWhenAnAnswerWouldHaveCome(t *testing.T) {
	for name, test := range map[string]struct {
		answer time.Duration // how long one takes
		fails  Result
		after  time.Duration // when the failure is noted
	}{
		"a failure":                        {50 * time.Millisecond, Result{Err: errDown}, 50 * time.Millisecond},
		"one where answers take long":      {time.Minute, Result{Err: errDown}, longestLinger},
		"a complaint, which holds for all": {50 * time.Millisecond, Result{Err: errDown, Throttled: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, end := newEngine(nil, func(_ context.Context, m *Message) Result {
					if m.Payload() == "bad" {
						return test.fails
					}
					time.Sleep(test.answer)
					return delivered(m)
				})
				failures := func() int {
					synctest.Wait()
					e.mu.Lock()
					defer e.mu.Unlock()
					return e.gate.failures
				}
				accept(t, e, "good")
				require.NoError(t, e.Flush(t.Context()))
				accept(t, e, "bad")
				if test.after > 0 {
					time.Sleep(test.after - 1)
					assert.Zero(t, failures())
					time.Sleep(time.Nanosecond)
				}
				assert.Equal(t, 1, failures())

				accept(t, e, "bad") // and again, while the queue is closed
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				begin := time.Now()
				assert.Equal(t, []string{"bad", "bad"}, end(ended))
				assert.Zero(t, time.Since(begin), "closing does not wait")
			})
		})
	}
}

func TestNoGoroutineWithoutWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, end := newEngine(func(c *Config) { c.Ceiling = 64 }, func(_ context.Context, m *Message) Result {
			time.Sleep(50 * time.Millisecond)
			return delivered(m)
		})
		workers := func() int {
			e.mu.Lock()
			defer e.mu.Unlock()
			return len(e.workers)
		}
		assert.Zero(t, workers(), "before the first message")
		accept(t, e, "a")
		synctest.Wait()
		assert.Equal(t, 1, workers())
		for range 900 {
			accept(t, e, "b")
		}
		synctest.Wait()
		assert.Equal(t, few, workers(), "as many as the limiter has places")
		require.NoError(t, e.Flush(t.Context()))
		synctest.Wait()
		assert.LessOrEqual(t, workers(), keptIdle)
		assert.Empty(t, end(t.Context()))
		assert.Zero(t, workers())
	})
}

func TestWhatIsLeftBehindDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, end := newEngine(nil, func(context.Context, *Message) Result {
			time.Sleep(time.Hour)
			runtime.Goexit()
			return Result{}
		})
		accept(t, e, "a")
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Equal(t, []string{"a"}, end(ended))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		e.mu.Lock()
		assert.Nil(t, e.lines.next(false))
		e.mu.Unlock()
		assert.Equal(t, Stats{Accepted: 1, Dropped: 1}, e.Stats())
	})
}
