package queue

import "time"

// enough is how many deliveries tell whether a lower limit lets less fail.
const enough = 40

// A trial finds out whether a lower limit lets less fail.
type trial struct {
	on      bool
	from    float64 // the limit before, twice as much
	answers int
	fails   int
}

// tooMany halves the limit, for too many deliveries have failed.
func (l *Limiter) tooMany(now time.Time) {
	if l.repeat++; l.limit < l.failed/1.5 || l.limit > l.failed*1.5 {
		l.repeat = 0
	}
	l.failed = l.limit
	l.tryHalf(now)
}

// tryHalf halves the limit, and tries whether fewer deliveries fail then.
func (l *Limiter) tryHalf(now time.Time) {
	from := l.limit
	l.cut(now, from/2)
	l.trial = trial{on: true, from: from}
}

// try draws the conclusion from a trial, if there is one to draw yet.
func (l *Limiter) try(now time.Time) {
	all := l.trial.answers + l.trial.fails
	share := float64(l.trial.fails) / float64(all)
	least := l.less(l.limit/2) == l.limit // it cannot be lower
	switch {
	case all >= few && share >= 0.5 && !least:
		l.tryHalf(now)
		return
	case all < enough, l.trial.answers == 0: // where all fail, that says nothing
		return
	}
	l.trial.on = false
	l.usual = share
	limit := l.trial.from
	if share < 0.1 { // it was the limit
		limit /= step
		l.restUntil = now.Add(min(calm, rest<<min(l.repeat, 8)))
	} else { // fewer at once would have let fewer fail
		l.doubles = true
	}
	l.set(now, max(l.limit, limit))
}
