package queue

import (
	"math"
	"time"
)

const (
	// slowest is the least number of records a second.
	slowest = 1.0
	// share is how much of what a server took remains after a complaint.
	share = 0.95
	// calm is how long a pace takes to come back to the one that was too fast, or
	// longer where the server asks for long waits.
	calm, longestCalm = 30 * time.Second, 2 * time.Minute
	// held is for how long the first pace is held before it rises, and for how long
	// after a complaint others are taken for the same: servers count by the second.
	held = time.Second
	// forgotten is how long a pace is remembered that the server has not
	// complained about.
	forgotten = 10 * time.Minute
	// leeway is for how long a pace may be made up that was not used.
	leeway = time.Millisecond
)

// A pace remembers how many records a second a server takes that refuses what is
// beyond that (429). As long as the server has not complained there is no bound.
//
// With the first complaint the pace becomes what the server took in the second
// before. A second later it begins to double every second, until the next complaint.
// (Those within a second of a complaint count as the same.) From then on the rule is
// that of CUBIC (RFC 9438), as in the adaptive retry mode of the AWS SDKs: after a
// complaint the pace is 19 twentieths of what the server took. Within 30 seconds it
// rises to the pace that was too fast, fast at first and then ever slower. Within
// another 30 seconds it goes beyond that, by a twentieth, slowly at first and then ever
// faster, and from then on it doubles every 10 seconds. Time counts only while the pace
// is what holds deliveries up.
type pace struct {
	rate    float64 // records a second, zero for no bound
	start   float64 // the rate after the last complaint
	crest   float64 // the rate that was too fast, zero where none is known
	calm    time.Duration
	risen   time.Duration // for how long the rate has risen
	tokens  float64       // records that may be sent now
	updated time.Time     // when rate and tokens were computed
	holding bool          // somebody waits for a token
	told    time.Time     // the last complaint
	resumed time.Time     // the first delivery after it
	recent  window
}

// take takes as many tokens as a delivery has records, or says how long to wait
// for them.
func (p *pace) take(now time.Time, records int) (wait time.Duration) {
	if p.rate == 0 {
		return 0
	}
	if now.Sub(p.told) > forgotten && !p.holding {
		p.rate = 0
		return 0
	}
	p.advance(now)
	if p.tokens < 1 {
		p.holding = true
		return time.Duration((1-p.tokens)/p.rate*float64(time.Second)) + 1
	}
	p.holding = false
	if p.resumed.IsZero() {
		p.resumed = now
	}
	p.tokens -= float64(records) // below zero where there are several: the next waits longer
	return 0
}

// advance computes the rate and the tokens.
func (p *pace) advance(now time.Time) {
	passed := now.Sub(p.updated)
	if passed <= 0 {
		return
	}
	p.updated = now
	if p.holding {
		p.risen += passed
	}
	x := float64(p.risen)/float64(p.calm) - 1
	switch {
	case p.crest == 0:
		p.rate = p.start * math.Exp2(max(0, p.risen-held).Seconds())
	case x < 0:
		p.rate = p.crest + (p.crest-p.start)*x*x*x
	case x < 1:
		p.rate = p.crest * (1 + (1-share)*x*x*x)
	default:
		p.rate = p.crest * (2 - share) * math.Exp2(3*(x-1))
	}
	most := 1.0
	if p.holding { // for it, and it may come late
		most += p.rate * leeway.Seconds()
	}
	p.tokens = min(p.tokens+p.rate*passed.Seconds(), most)
}

func (p *pace) succeeded(now time.Time, records int) { p.recent.add(now, records) }

// throttled notes a complaint about a delivery that began at some time.
func (p *pace) throttled(began, now time.Time, retryAfter time.Duration) {
	taken := p.recent.rate(now)
	if !began.After(p.told.Add(held)) || taken == 0 {
		return // it may be due to the same; or the server takes nothing, which is an outage
	}
	switch {
	case p.rate == 0 || now.Sub(p.told) > forgotten:
		p.crest, p.start = 0, taken
	case p.crest == 0:
		p.crest, p.start = p.rate, share*min(p.rate, max(taken, p.rate/2))
	case now.Sub(p.resumed) < time.Second: // there is no second in which it was measured
		p.crest, p.start = share*p.rate, share*share*p.rate
	default:
		p.crest = min(p.rate, max(taken, 0.8*p.rate))
		p.start = share * p.crest
	}
	p.start = max(slowest, p.start)
	p.rate = p.start
	p.calm = calmAfter(retryAfter)
	p.risen, p.tokens, p.updated, p.told, p.holding = 0, 0, now, now, false
	p.resumed = time.Time{}
}

// calmAfter returns for how long no more than before is tried after a complaint, so that
// the waits that complaints ask for are a small part of the time.
func calmAfter(retryAfter time.Duration) time.Duration {
	return min(max(calm, 20*retryAfter), longestCalm)
}

// A window counts what happened in the last second, or nearly: it takes what
// happened in the second before for evenly spread.
type window struct {
	begin         time.Time // of the second that goes on
	count, before float64
}

func (w *window) add(now time.Time, n int) {
	w.move(now)
	w.count += float64(n)
}

func (w *window) rate(now time.Time) float64 {
	w.move(now)
	return w.count + w.before*(1-now.Sub(w.begin).Seconds())
}

func (w *window) move(now time.Time) {
	switch passed := now.Sub(w.begin); {
	case passed < time.Second:
	case passed < 2*time.Second:
		w.begin, w.before, w.count = w.begin.Add(time.Second), w.count, 0
	default:
		w.begin, w.before, w.count = now, 0, 0
	}
}
