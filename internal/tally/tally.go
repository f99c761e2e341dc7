// Package tally counts what a log is told of once in a while.
package tally

import (
	"sync"
	"time"
)

// Interval is how much time lies between two lines in the log, at least.
const Interval = time.Minute

// A Tally counts what happens too often for a line in the log each time. Its zero
// value is ready, and it is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	count  int
	reason string
	told   time.Time
}

// Add adds n, and the reason for it. It reports whether the log is to be told now
// of the total since it was told before, and of the latest reason: at once the
// first time, and then once an interval, or earlier if the clock was set back. It is
// never told of nothing.
func (t *Tally) Add(now time.Time, n int, reason string) (total int, latest string, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > 0 {
		t.count, t.reason = t.count+n, reason
	}
	if since := now.Sub(t.told); !t.told.IsZero() && 0 <= since && since < Interval {
		return 0, "", false
	}
	return t.take(now)
}

// Rest is Add for the last time: it does not wait for the end of an interval.
func (t *Tally) Rest(now time.Time) (total int, latest string, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(now)
}

func (t *Tally) take(now time.Time) (total int, latest string, tell bool) {
	if t.count == 0 {
		return 0, "", false
	}
	total, t.count, t.told = t.count, 0, now
	return total, t.reason, true
}
