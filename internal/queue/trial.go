package queue

import "time"

// enough is how many deliveries tell whether a lower limit lets less fail.
const enough = 40

// A trial finds out whether a lower limit lets less fail.
type trial struct {
	on      bool
	halved  bool    // the limit was
	from    float64 // the limit before
	answers int
	fails   int
}

// tooMany draws the conclusion from too many failures.
func (l *Limiter) tooMany(now time.Time) {
	limit, halved := l.limit/2, true
	if !l.doubles && l.triesMore() {
		limit, halved = l.back, false
	}
	if l.repeat++; l.limit < l.failed/1.5 || l.limit > l.failed*1.5 {
		l.repeat = 0
	}
	l.failed = l.limit
	l.lower(now, limit, halved)
}

// lower sets a lower limit, for too many deliveries have failed, and tries whether
// fewer do then.
func (l *Limiter) lower(now time.Time, limit float64, halved bool) {
	from := l.limit
	l.cut(now, limit)
	l.trial = trial{on: true, halved: halved, from: from}
}

// try draws the conclusion from a trial, if there is one to draw yet.
func (l *Limiter) try(now time.Time) {
	all := l.trial.answers + l.trial.fails
	share := float64(l.trial.fails) / float64(all)
	least := l.less(l.limit/2) == l.limit // it cannot be lower
	switch {
	case all >= few && share >= 0.5 && !least:
		l.lower(now, l.limit/2, true)
	case all < enough, l.trial.answers == 0: // where all fail, that says nothing
	case share < 0.1: // it was the limit
		l.trial.on = false
		if l.trial.halved {
			l.usual = share
		}
		l.set(now, max(l.limit, l.trial.from/step))
		l.restUntil = now.Add(min(calm, rest<<min(l.repeat, 8)))
	case !l.trial.halved:
		l.lower(now, l.limit/2, true)
	default: // fewer at once would have let fewer fail
		l.trial.on = false
		l.usual = share
		l.doubles = true
		l.set(now, max(l.limit, l.trial.from))
	}
}
