package queue

import (
	"math"
	"time"
)

const (
	// slowest is the least number of records a second.
	slowest = 1.0
	// calm is how long a pace takes to come back to the one that was too fast, or
	// longer where the server asks for long waits.
	calm, longestCalm = 30 * time.Second, 2 * time.Minute
	// share is how much of a pace that was too fast remains.
	share = 0.9
	// forgotten is how long a pace is remembered that the server has not
	// complained about.
	forgotten = 10 * time.Minute
	// leeway is for how long a pace may be made up that was not used.
	leeway = 5 * time.Millisecond
)

// A pace remembers how many records a second a server takes that refuses what is
// beyond that (429). As long as the server has not complained there is no bound.
//
// With the first complaint the pace becomes what the server took in the second
// before, and doubles every second until the next one. From then on the rule is
// that of CUBIC (RFC 9438), as in the adaptive retry mode of the AWS SDKs: after
// a complaint the pace is nine tenths of the one that was too much, rises to that
// within 30 seconds, fast at first and then ever slower, and then goes beyond it,
// slowly at first and then ever faster. Time counts only while the pace is what
// holds deliveries up.
type pace struct {
	rate    float64 // records a second, zero for no bound
	crest   float64 // the rate that was too fast, zero while it doubles
	base    float64 // the rate at which the doubling began
	calm    time.Duration
	risen   time.Duration // for how long the rate has risen
	tokens  float64       // records that may be sent now
	updated time.Time     // when rate and tokens were computed
	holding bool          // somebody waits for a token
	told    time.Time     // the last complaint
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
	if p.crest == 0 {
		p.rate = p.base * math.Exp2(p.risen.Seconds())
	} else {
		x := float64(p.risen-p.calm) / float64(p.calm)
		p.rate = p.crest * (1 + (1-share)*x*x*x)
	}
	p.tokens = min(p.tokens+p.rate*passed.Seconds(), 1+p.rate*leeway.Seconds())
}

func (p *pace) succeeded(now time.Time, records int) { p.recent.add(now, records) }

// throttled notes a complaint about a delivery that began at some time.
func (p *pace) throttled(began, now time.Time, retryAfter time.Duration) {
	taken := p.recent.rate(now)
	if began.Before(p.told) || taken == 0 {
		return // it is due to the same; or the server takes nothing, which is an outage
	}
	if p.rate == 0 || now.Sub(p.told) > forgotten {
		p.base, p.crest = max(slowest, taken), 0
		p.rate = p.base
	} else {
		if p.crest == 0 {
			p.crest = p.rate
		} else {
			p.crest = max(slowest, 0.8*p.rate, min(taken, p.rate))
		}
		p.rate = share * p.crest
	}
	p.calm = min(max(calm, 20*retryAfter), longestCalm)
	p.risen, p.tokens, p.updated, p.told, p.holding = 0, 0, now, now, false
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
