package riverbox

import (
	"context"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

const (
	// outageAfter is how many failures in a row are taken for an outage.
	outageAfter = 3
	// longestOutageWait bounds the waits between two attempts in an outage.
	longestOutageWait = 30 * time.Second
	// maxHold bounds the wait that an answer can ask for.
	maxHold = 5 * time.Minute
	// longestHere bounds how long a job that is held back waits in its worker.
	longestHere = 10 * time.Second
)

// An outage holds the jobs of a worker back together. As long as deliveries fail,
// one job at a time is tried, after waits that grow. With the first success all go
// on. Otherwise each of many jobs would ask the server that is down.
//
// It also holds all back for as long as an answer asked for (Retry-After).
type outage struct {
	initial, limit time.Duration

	mu        sync.Mutex
	failures  int // in a row
	probing   bool
	heldUntil time.Time
	changed   chan struct{} // closed when that has changed
}

func newOutage(initial, limit time.Duration) *outage {
	return &outage{initial: initial, limit: min(limit, longestOutageWait), changed: make(chan struct{})}
}

// enter reports whether a job may be tried now, and whether it is the one that is
// tried in an outage. Whoever enters must leave.
func (o *outage) enter() (probes, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	probes = o.failures >= outageAfter
	if o.held() > 0 {
		return false, false
	}
	o.probing = probes
	return probes, true
}

// held says for how much longer no job is to be tried.
func (o *outage) held() time.Duration {
	wait := time.Until(o.heldUntil) // by the monotonic clock
	if o.probing {
		wait = max(wait, spread) // then it is known more
	}
	return wait
}

// wait waits while no job is to be tried, for a while, so that River does not fetch
// others in its place. It returns for how much longer that is.
func (o *outage) wait(ctx context.Context) time.Duration {
	end := time.Now().Add(longestHere)
	for {
		o.mu.Lock()
		wait, changed := o.held(), o.changed
		o.mu.Unlock()
		left := time.Until(end)
		if wait <= 0 || left <= 0 || ctx.Err() != nil {
			return wait
		}
		select {
		case <-time.After(min(wait, left)):
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// leave notes how an attempt ended. The answer may have asked for a wait. An attempt
// that says nothing about the server has neither succeeded nor failed.
func (o *outage) leave(probed, succeeded, failed bool, asked time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold(min(asked, maxHold))
	if probed {
		o.probing = false
	}
	switch {
	case o.failures >= outageAfter && !probed: // it was under way before
	case succeeded:
		o.failures = 0
	case failed:
		o.failures++
		if n := o.failures - outageAfter; n >= 0 {
			o.hold(retry.Wait(n+1, o.initial, o.limit))
		}
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// hold has no job tried for so long, or for longer if that was asked before.
func (o *outage) hold(wait time.Duration) {
	if until := time.Now().Add(wait); wait > 0 && until.After(o.heldUntil) {
		o.heldUntil = until
	}
}
