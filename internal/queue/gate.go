package queue

import (
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

// outageAfter is how many failures in a row, with no success between them, are
// taken for an outage, at least.
const outageAfter = 3

// tellEvery is how much time lies between two outages that are told of, at least.
const tellEvery = time.Minute

// mostDistrust is the distrust at which messages that have failed are tried one at a
// time.
const mostDistrust = 8

// A gate says who tries again while deliveries fail, and who waits.
//
// The worker whose delivery fails becomes the prober, unless there is one: it
// waits before it takes another message, longer after every failure. The others
// go on. After three failures in a row, or when the server asks to be left alone,
// that is an outage: the gate is shut for all but the prober, and opens when the
// prober succeeds. Where many deliveries are under way, an outage takes twice as many
// failures as those: all may fail together for one connection that breaks, and where
// one of several servers is down, three in a row come by chance.
//
// At most one outage a minute is told of, for there are servers that fail again and
// again for a moment. Another one is told of later, if it lasts.
//
// A message that has failed may have done so for reasons of its own. Where too many of
// those that are tried again fail again, and more than of others, only the prober tries
// such a message, and whoever takes one is the prober. Only that worker then waits for
// as long as the server asks.
type gate struct {
	schedule  *retry.Schedule
	longest   time.Duration // that a server can ask for
	probing   bool          // one worker is the prober
	paused    bool          // only the prober may try
	distrust  float64       // up to 2 more for each message that fails again, and 1 less for each that is delivered then
	share     float64       // of the last messages that had not failed before, how many failed
	failures  int           // in a row
	since     time.Time     // when the gate was shut
	told      time.Time     // when an outage was told of last
	tells     bool          // the outage that goes on was told of
	notBefore time.Time     // what the server asked for
}

// A change of the gate is worth a line in a log.
type change int

const (
	unchanged change = iota
	shut
	opened
)

// admits reports whether a worker may try a message, which may have failed before.
func (g *gate) admits(prober, again bool) bool {
	return prober || !g.paused && (!again || !g.probing || !g.distrusts())
}

// distrusts reports whether a message that has failed is likely to fail again.
func (g *gate) distrusts() bool { return g.distrust >= mostDistrust }

// blames reports whether the failure of a message, which may have failed before, is
// taken for its own, and says nothing about others.
func (g *gate) blames(again bool) bool { return again && g.distrusts() }

// prefersFresh reports whether a worker looks first for a message that has not failed
// yet.
func (g *gate) prefersFresh(prober bool) bool {
	return g.paused || !prober && !g.admits(false, true)
}

// begins notes that a worker tries a message, which may have failed before, and
// reports whether the worker is the prober.
func (g *gate) begins(prober, again bool) bool {
	if g.blames(again) {
		g.probing, prober = true, true
	}
	return prober
}

// succeeded notes that a delivery got an answer. A prober is none afterwards.
func (g *gate) succeeded(prober, again bool) change {
	if again {
		g.distrust = max(0, g.distrust-1)
	} else {
		g.share -= g.share / 64
	}
	if g.paused && !prober {
		return unchanged // it was under way before
	}
	g.failures = 0
	g.schedule.Reset()
	if !prober {
		return unchanged
	}
	g.probing = false
	if !g.paused {
		return unchanged
	}
	g.paused = false
	if !g.tells {
		return unchanged
	}
	g.tells = false
	return opened
}

// failed notes that a delivery failed, one of so many under way, and what the server
// asked for. It says whether the worker is the prober now, and then how long it waits.
func (g *gate) failed(now time.Time, prober, again bool, under int, wish time.Duration) (probes bool, wait time.Duration, c change) {
	alone := g.blames(again)
	if again {
		g.distrust = min(mostDistrust, g.distrust+max(0, 2-4*g.share)) // where half of all fail, that says nothing
	} else {
		g.share += (1 - g.share) / 64
	}
	wish = min(wish, g.longest)
	if until := now.Add(wish); wish > 0 && until.After(g.notBefore) {
		g.notBefore = until
	}
	g.failures++
	if !g.paused && (g.failures >= max(outageAfter, 2*under) || wish > 0 && !alone) {
		g.paused, g.since = true, now
	}
	if g.paused && !g.tells && (g.told.IsZero() || now.Sub(g.told) >= tellEvery) {
		g.tells, g.told, c = true, now, shut
	}
	if g.probing && !prober {
		return false, 0, c
	}
	g.probing = true
	return true, g.schedule.Next(wish, g.longest), c
}

// resigned notes that the prober has nothing to try, or is no more.
func (g *gate) resigned() { g.probing, g.paused, g.tells = false, false, false }

// ahead says how much longer the server asked to be left alone.
func (g *gate) ahead(now time.Time) time.Duration { return max(0, g.notBefore.Sub(now)) }
