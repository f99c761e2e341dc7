package queue

import (
	"math"
	"time"
)

const (
	// few is how many deliveries may be under way before anything is known, and
	// after a rest.
	few = 8
	// patience is how many times its shortest an answer may take before that
	// counts as slow.
	patience = 2
	// probeEvery is how often the shortest answer is measured again.
	probeEvery = 30 * time.Second
	// restAfter is how long nothing may happen before the limiter begins with few
	// again.
	restAfter = 10 * time.Second
)

// A Limiter finds out how many deliveries to have under way at once, and, for a
// server that refuses what comes too fast, how many records a second to send. It
// is told of every delivery when it begins and when it ends, and needs to know
// nothing of the server.
//
// How many at once follows the time that answers take, in rounds of as many
// answers as the limit. The rule is that of TCP Vegas and of the Gradient limit
// (github.com/Netflix/concurrency-limits): the shortest round tells how long an
// answer takes that does not queue up anywhere. While rounds take less than twice
// that, and all places were taken, the limit grows: it doubles until the first
// slow round, and then grows by its square root. After a slow round it shrinks by
// as much as the round was too slow. Every 30 seconds it is halved, so that the
// shortest round can be measured without the queue that the limiter itself may
// have made elsewhere.
//
// Failures halve it, as in TCP (additive increase, multiplicative decrease), as
// soon as one delivery in ten fails.
//
// How many a second is a [pace].
//
// A Limiter is not safe for concurrent use.
type Limiter struct {
	ceiling float64
	limit   float64
	under   int // places that are taken
	doubles bool
	pace    pace

	shortest time.Duration // the mean of the shortest round, zero if not known
	measured time.Time     // when that was begun to be measured
	moved    time.Time     // when a delivery last began
	cut      time.Time     // when the limit last shrank because of failures

	// The round that goes on:
	answers int
	total   time.Duration
	fails   int
	busy    bool // all places were taken
}

// NewLimiter returns a limiter that never has more than ceiling deliveries under
// way.
func NewLimiter(ceiling int) *Limiter {
	l := &Limiter{ceiling: float64(ceiling)}
	l.restart()
	return l
}

// restart begins with few places again.
func (l *Limiter) restart() {
	l.limit, l.doubles = min(few, l.ceiling), true
	l.nextRound()
}

func (l *Limiter) nextRound() { l.answers, l.total, l.fails, l.busy = 0, 0, 0, false }

// Limit returns how many deliveries may be under way at once.
func (l *Limiter) Limit() int { return max(1, int(l.limit)) }

// Free returns how many more deliveries may be under way, as far as their number
// goes.
func (l *Limiter) Free() int { return max(0, l.Limit()-l.under) }

// Enter takes a place for a delivery of so many records, if it may begin now.
// Otherwise wait is how long to wait before asking again, or zero where a place
// must be given back first.
func (l *Limiter) Enter(now time.Time, records int) (wait time.Duration, ok bool) {
	if l.under == 0 && !l.moved.IsZero() && now.Sub(l.moved) > restAfter {
		l.restart()
	}
	if l.Free() == 0 {
		return 0, false
	}
	if wait := l.pace.take(now, records); wait > 0 {
		return wait, false
	}
	l.under++
	l.moved = now
	if l.Free() == 0 {
		l.busy = true
	}
	return 0, true
}

// Leave gives a place back.
func (l *Limiter) Leave() { l.under-- }

// Succeeded notes that so many records of a delivery got an answer.
func (l *Limiter) Succeeded(began, now time.Time, records int) {
	l.pace.succeeded(now, records)
	l.answers++
	l.total += now.Sub(began) / time.Duration(max(1, records))
	if float64(l.answers) >= l.limit {
		l.endRound(now)
	}
}

// Failed notes that there was no answer to a delivery, or one that says that the
// server is in trouble.
func (l *Limiter) Failed(began, now time.Time) {
	if began.Before(l.cut) {
		return // that it shrank already is due to the same
	}
	l.fails++
	if float64(l.fails) > max(2, l.limit/10) {
		l.limit, l.doubles, l.cut = max(1, l.limit/2), false, now
		l.nextRound()
	}
}

// Throttled notes that the server refused a delivery because it came too fast,
// after so many of its records, and how long the server asks to wait.
func (l *Limiter) Throttled(began, now time.Time, records int, retryAfter time.Duration) {
	if records > 0 {
		l.pace.succeeded(now, records)
	}
	l.pace.throttled(began, now, retryAfter)
}

// endRound draws the conclusion from as many answers as the limit.
func (l *Limiter) endRound(now time.Time) {
	mean := l.total / time.Duration(l.answers)
	busy := l.busy
	l.nextRound()
	if l.shortest == 0 || mean < l.shortest {
		if l.shortest == 0 {
			l.measured = now
		}
		l.shortest = mean
	}
	slow := float64(mean) / float64(patience*l.shortest)
	switch {
	case now.Sub(l.measured) > probeEvery:
		l.shortest = 0
		l.limit = max(min(few, l.limit), l.limit/2)
		l.doubles = true
	case slow > 1:
		l.limit = max(min(few, l.limit), l.limit*max(0.5, 1/slow))
		l.doubles = false
	case !busy:
	case l.doubles:
		l.limit = min(l.ceiling, 2*l.limit)
	default:
		l.limit = min(l.ceiling, l.limit+math.Sqrt(l.limit))
	}
}
