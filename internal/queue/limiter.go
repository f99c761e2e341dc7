package queue

import (
	"time"
)

const (
	// few is how many deliveries may be under way before anything is known, and
	// after a rest.
	few = 8
	// fewest is how many may be under way however slow answers are, and however many
	// fail: the gate does the rest. Where an answer can take less than slack, that is
	// few, for what makes those slow is seldom the server.
	fewest = 4
	// roundLasts is how long a round lasts at least, except while the limit doubles. It is
	// long enough for several of the pauses of a machine that stands still now and then,
	// as in every tenth of a second where its processor time is limited.
	roundLasts = 500 * time.Millisecond
	// patience is how many times its shortest an answer may take before that
	// counts as slow, and slack is how much longer it may take in any case.
	patience = 2
	slack    = 2 * time.Millisecond
	// probeEvery is how often the shortest answer is measured again.
	probeEvery = 30 * time.Second
	// step is by how much the limit changes to try whether another one is better, and
	// rest how long it stays when that was not so.
	step = 1.25
	rest = 2 * time.Second
	// restAfter is how long nothing may happen before the limiter begins with few
	// again.
	restAfter = 10 * time.Second
)

// A Limiter finds out how many deliveries to have under way at once, and, for a
// server that refuses what comes too fast, how many records a second to send. It
// is told of every delivery when it begins and when it ends, and needs to know
// nothing of the server.
//
// How many at once follows the time that answers take, in rounds of as many answers as
// the limit. Once it no longer doubles, a round lasts half a second at least. The rule
// is that of TCP Vegas and of the Gradient limit (github.com/Netflix/concurrency-limits):
// the shortest round tells how long an answer takes that does not queue up anywhere.
// While rounds take less than twice that, and all places were taken, the limit grows: it
// doubles until two rounds in a row are slow, and then tries a quarter more, or fewer.
// What it tries is kept only where it achieves more. Otherwise the limit goes back, and
// stays for 2 seconds. So it ends within a quarter of the best.
//
// After two slow rounds in a row the limit is halved for a round. Where answers are
// faster by a quarter then, it stays so. Where they are not, it is not their number that
// makes them slow: the limit goes back, and how long they take now is the new measure.
// Every 30 seconds the limit is halved for a round, too, to measure the shortest one
// again without a queue that the limiter itself may have made elsewhere.
//
// So a machine that stands still for a part of every tenth of a second gets as many
// deliveries as any other. Where it stands still at random for nearly half of the time,
// one round differs too much from the next, and there may be half as many or fewer.
//
// Failures halve the limit, as in TCP (additive increase, multiplicative
// decrease), as soon as one delivery in ten fails, of 40 at least. The next 40
// deliveries tell what that has achieved:
//
//   - Fewer than one in ten fail: it was the limit. It becomes a fifth less than what
//     was too much, and more are not tried for 2 seconds; for twice as long each time
//     that it is too much again, up to 30 seconds.
//   - Half of them fail: the limit is halved again, if it can be.
//   - Otherwise it is not the limit, for half of what is less than twice too much is not
//     too much. Some of several servers may be down. The limit goes back, and only more
//     failures than these count from then on.
//
// How many a second is a [pace]. It is for servers that count requests (429). Others
// have so many places, and refuse whatever finds none free (503 with a Retry-After, as
// of Varnish). For those the limit is halved while it doubles. Later it goes back by a
// tenth or to the one before, and more are not tried for as long as a pace takes to
// rise. Such an answer to one of very few is not due to their number, and counts as a
// 429.
//
// A Limiter is not safe for concurrent use.
type Limiter struct {
	ceiling float64
	limit   float64
	doubles bool // the limit has been right so far
	under   int  // places that are taken
	round   round
	pace    pace
	moved   time.Time // when a delivery last began
	changed time.Time // when the limit last did: what began before says nothing about it

	shortest time.Duration // the mean of the shortest round, zero if not known
	measured time.Time     // when that was measured anew
	late     bool          // the last round was slow
	halved   bool          // the limit is halved for a round,
	whole    float64       // from this,
	slow     time.Duration // because this was the mean; zero where it is only to be measured anew

	took time.Duration // by the last answer

	trial  trial
	usual  float64 // the share of deliveries that fails whatever the limit is: with half as many, too
	failed float64 // the limit at which too many failed last,
	repeat int     // and how often that was nearly the same

	achieved  float64   // answers a second, by the last round
	back      float64   // the limit before a change that is being tried
	fewer     bool      // the next change is to try fewer, if there is reason to
	restUntil time.Time // until then none is tried
}

// A round is as many answers as the limit, and those of half a second.
type round struct {
	began   time.Time // the first that was answered
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
	l.limit, l.doubles, l.late, l.halved, l.back, l.round, l.trial = min(few, l.ceiling), true, false, false, 0, round{}, trial{}
}

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
		l.round.busy = true
	}
	return 0, true
}

// Leave gives a place back.
func (l *Limiter) Leave() { l.under-- }

// Succeeded notes that so many records of a delivery got an answer.
func (l *Limiter) Succeeded(began, now time.Time, records int) {
	l.pace.succeeded(now, records)
	if !began.After(l.changed) {
		return
	}
	l.took = now.Sub(began) / time.Duration(max(1, records))
	l.round.answers++
	l.round.total += l.took
	if l.trial.on {
		l.trial.answers++
		l.try(now)
	}
	if l.round.began.IsZero() {
		l.round.began = began
	}
	if l.round.answers < l.Limit() {
		return
	}
	if l.doubles && l.limit < l.ceiling || now.Sub(l.round.began) >= roundLasts {
		l.endRound(now)
	}
}

// Failed notes that there was no answer to a delivery, or one that says that the
// server is in trouble.
func (l *Limiter) Failed(began, now time.Time) {
	if !began.After(l.changed) {
		return
	}
	l.round.fails++
	fails, all := float64(l.round.fails), float64(l.round.fails+l.round.answers)
	switch {
	case l.trial.on:
		l.trial.fails++
		l.try(now)
	case fails > max(enough, l.limit, all)/10+1.5*l.usual*all:
		l.tooMany(now)
	}
}

// Stopped notes that so many deliveries have failed in a row that all others wait.
func (l *Limiter) Stopped(now time.Time) {
	if !l.trial.on {
		l.tooMany(now)
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

// Overloaded notes that the server refused a delivery because it had too much to do,
// after so many of its records, and how long it asks to wait.
func (l *Limiter) Overloaded(began, now time.Time, records int, retryAfter time.Duration) {
	if l.under <= fewest {
		l.Throttled(began, now, records, retryAfter)
		return
	}
	l.pace.succeeded(now, records)
	switch {
	case !began.After(l.changed):
	case l.doubles: // it is too much by far, and half may be too few
		l.cut(now, l.limit/2)
	default:
		limit := 0.9 * float64(l.under)
		if l.back > 0 && l.back < l.limit { // that was a quarter more
			limit = l.back
		}
		l.cut(now, limit)
		l.restUntil = now.Add(calmAfter(retryAfter))
	}
}

// endRound draws the conclusion from a round.
func (l *Limiter) endRound(now time.Time) {
	r, late := l.round, l.late
	l.round, l.late = round{}, false
	mean := r.total / time.Duration(r.answers)
	failed := float64(r.fails) / float64(r.fails+r.answers)
	if l.usual > 0 {
		l.usual += (failed - l.usual) / 32
	}
	if l.halved {
		l.halved = false
		if mean > l.slow*3/4 { // fewer are no faster
			l.measure(now, mean)
			l.set(now, l.whole)
			return
		}
		l.doubles = false
	}
	if l.shortest == 0 {
		l.measure(now, mean)
	}
	l.shortest = min(l.shortest, mean)
	l.late = mean > max(patience*l.shortest, l.shortest+slack)
	switch {
	case l.late && !late: // it may be by chance: the next round tells
	case l.late:
		l.halve(now, mean)
	case now.Sub(l.measured) > probeEvery:
		l.halve(now, 0)
	case !r.busy, l.trial.on:
	case l.doubles:
		l.limit = min(l.ceiling, 2*l.limit) // with no need to wait for answers to what began since
	default:
		l.climb(now, mean, failed)
	}
}

// halve halves the limit for a round, for this was the mean of the last, and too slow,
// or else to measure the shortest again.
func (l *Limiter) halve(now time.Time, slow time.Duration) {
	l.late, l.halved, l.whole, l.slow = false, true, l.limit, slow
	l.set(now, l.less(l.limit/2))
}

// climb looks for the limit that achieves most: it tries more, and where answers
// take longer than the shortest, fewer too. What has not proved better is undone.
func (l *Limiter) climb(now time.Time, mean time.Duration, failed float64) {
	achieved := float64(l.Limit()) / mean.Seconds() * (1 - failed) // answers a second
	before, back := l.achieved, l.back
	l.achieved, l.back = achieved, 0
	switch fewer := back > l.limit; {
	case back > 0 && fewer && achieved < 0.98*before,
		back > 0 && !fewer && achieved < before*(1+(l.limit/back-1)/4):
		l.fewer = !fewer
		l.set(now, back)
		l.restUntil = now.Add(rest)
	case now.Before(l.restUntil):
	case l.fewer && float64(mean) > step*float64(max(l.shortest, slack)):
		l.back = l.limit
		l.set(now, l.less(l.limit/step))
	case l.limit < l.ceiling:
		l.back, l.fewer = l.limit, true
		l.set(now, min(l.ceiling, l.limit*step))
	}
}

// cut sets a lower limit, and ends whatever was being tried.
func (l *Limiter) cut(now time.Time, limit float64) {
	l.doubles, l.halved, l.back, l.trial = false, false, 0, trial{}
	l.set(now, l.less(limit))
}

// less returns a lower limit, if it is not too low.
func (l *Limiter) less(limit float64) float64 {
	least := float64(fewest)
	if l.shortest > 0 && l.shortest < slack {
		least = few
	}
	return min(l.limit, max(least, limit))
}

// set changes the limit, and begins a new round.
func (l *Limiter) set(now time.Time, limit float64) {
	l.limit, l.changed, l.round = limit, now, round{}
}

// measure takes a round for the shortest.
func (l *Limiter) measure(now time.Time, mean time.Duration) { l.shortest, l.measured = mean, now }
