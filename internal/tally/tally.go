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
	mu    sync.Mutex
	count int
	told  time.Time
}

// Add adds n. It reports whether the log is to be told now of the total since it
// was told before: at once the first time, then once an interval, and always if
// this is the last time. It is never told of nothing.
func (t *Tally) Add(now time.Time, n int, last bool) (total int, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count += n
	if t.count == 0 || !last && !t.told.IsZero() && now.Sub(t.told) < Interval {
		return 0, false
	}
	total, t.count, t.told = t.count, 0, now
	return total, true
}
