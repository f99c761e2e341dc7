package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

// TestGate goes through what workers tell the gate, and requires after each step
// what the gate answers: whether the worker is the prober now and for how long it
// waits, and who may try. The schedule of the gate has no waits of its own, so
// that those are what the server asks for.
func TestGate(t *testing.T) {
	const prober, other = true, false
	type step struct {
		after     time.Duration // since the beginning
		who       bool          // prober or other
		fails     bool
		wish      time.Duration
		probes    bool
		wait      time.Duration
		change    change
		admitted  bool // whether others than the prober may try afterwards
		nextAhead time.Duration
	}
	const s = time.Second
	for name, steps := range map[string][]step{
		"a failure makes a prober, and the others go on": {
			{who: other, fails: true, probes: true, admitted: true},
			{who: other, admitted: true},
			{who: prober, admitted: true},
		},
		"there is one prober at a time": {
			{who: other, fails: true, probes: true, admitted: true},
			{who: other, fails: true, probes: false, admitted: true},
		},
		"three failures in a row shut the gate": {
			{who: other, fails: true, probes: true, admitted: true},
			{who: other, fails: true, admitted: true},
			{who: other, fails: true, change: shut, admitted: false},
			{who: other, fails: true, admitted: false},
		},
		"a success in between begins the count again": {
			{who: other, fails: true, probes: true, admitted: true},
			{who: other, fails: true, admitted: true},
			{who: other, admitted: true},
			{who: other, fails: true, admitted: true},
			{who: other, fails: true, admitted: true},
			{who: other, fails: true, change: shut, admitted: false},
		},
		"the success of the prober opens it": {
			{who: other, fails: true, probes: true, admitted: true},
			{who: prober, fails: true, probes: true, admitted: true},
			{who: prober, fails: true, probes: true, change: shut, admitted: false},
			{who: prober, fails: true, probes: true, admitted: false},
			{who: prober, change: opened, admitted: true},
			{who: other, fails: true, probes: true, admitted: true},
		},
		"a success from before the outage does not": {
			{who: other, fails: true, probes: true, admitted: true},
			{who: other, fails: true, admitted: true},
			{who: other, fails: true, change: shut, admitted: false},
			{who: other, admitted: false},
			{who: prober, change: opened, admitted: true},
		},
		"a wish of the server shuts it at once": {
			{who: other, fails: true, wish: 2 * s, probes: true, wait: 2 * s, change: shut, admitted: false, nextAhead: 2 * s},
			{after: s, who: other, fails: true, wish: 5 * s, admitted: false, nextAhead: 5 * s},
			{after: 2 * s, who: other, fails: true, wish: s, admitted: false, nextAhead: 4 * s},
			{after: 7 * s, who: prober, change: opened, admitted: true},
		},
		"an outage within a minute of another is not told of": {
			{who: other, fails: true, wish: s, probes: true, wait: s, change: shut, admitted: false, nextAhead: s},
			{after: s, who: prober, change: opened, admitted: true},
			{after: 2 * s, who: other, fails: true, wish: s, probes: true, wait: s, admitted: false, nextAhead: s},
			{after: 4 * s, who: prober, admitted: true},
			{after: 60 * s, who: other, fails: true, wish: s, probes: true, wait: s, change: shut, admitted: false, nextAhead: s},
			{after: 61 * s, who: prober, change: opened, admitted: true},
		},
		"unless it lasts": {
			{who: other, fails: true, wish: s, probes: true, wait: s, change: shut, admitted: false, nextAhead: s},
			{after: s, who: prober, change: opened, admitted: true},
			{after: 2 * s, who: other, fails: true, wish: s, probes: true, wait: s, admitted: false, nextAhead: s},
			{after: 40 * s, who: prober, fails: true, wish: s, probes: true, wait: s, admitted: false, nextAhead: s},
			{after: 80 * s, who: prober, fails: true, wish: s, probes: true, wait: s, change: shut, admitted: false, nextAhead: s},
			{after: 90 * s, who: prober, fails: true, wish: s, probes: true, wait: s, admitted: false, nextAhead: s},
			{after: 91 * s, who: prober, change: opened, admitted: true},
		},
		"a wish is bounded": {
			{who: other, fails: true, wish: time.Hour, probes: true, wait: time.Minute, change: shut, admitted: false, nextAhead: time.Minute},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := gate{schedule: retry.NewSchedule(1, 1), longest: time.Minute}
			begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			for i, step := range steps {
				now := begin.Add(step.after)
				var probes bool
				var wait time.Duration
				var got change
				if step.fails {
					probes, wait, got = g.failed(now, step.who, false, 1, step.wish)
				} else {
					got = g.succeeded(step.who, false)
				}
				assert.Equal(t, step.probes, probes, "step %d: is the prober", i)
				assert.Equal(t, step.wait, wait, "step %d: waits", i)
				assert.Equal(t, step.change, got, "step %d: changes", i)
				assert.Equal(t, step.admitted, g.admits(other, false), "step %d: admits others", i)
				assert.True(t, g.admits(prober, false), "step %d: admits the prober", i)
				assert.Equal(t, step.nextAhead, g.ahead(now), "step %d: ahead", i)
			}
		})
	}
}

// All that are under way may fail at once, for one connection that breaks, and where
// one of several servers is down some fail in a row by chance.
func TestAnOutageTakesTwiceAsManyFailuresAsAreUnderWay(t *testing.T) {
	for under, want := range map[int]int{1: outageAfter, 2: 4, 168: 336} {
		g := gate{schedule: retry.NewSchedule(1, 1)}
		failures := 0
		for !g.paused {
			g.failed(time.Now(), false, false, under, 0)
			failures++
		}
		assert.Equal(t, want, failures, "with %d under way", under)
	}
}

// A message that has failed is not to blame where the others fail as often.
func TestWhatFailsLikeOthersIsNotDistrusted(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(1, 1)}
	for range 100 {
		for _, again := range []bool{false, true} {
			g.succeeded(true, again)
			g.failed(time.Now(), false, again, 1, 0)
		}
	}
	assert.False(t, g.distrusts())
}

// A message that has failed may do so for reasons of its own.
func TestWhatFailsAgainAndAgainIsTriedByOneWorkerAtATime(t *testing.T) {
	const prober, other, again = true, false, true
	g := gate{schedule: retry.NewSchedule(1, 1)}
	for range mostDistrust/2 - 1 {
		g.failed(time.Now(), other, again, 1, 0)
		g.succeeded(prober, false)
	}
	assert.False(t, g.begins(other, again), "not yet")
	g.failed(time.Now(), other, again, 1, 0)
	g.succeeded(prober, false)

	assert.False(t, g.begins(other, false), "the others are tried as before")
	assert.True(t, g.admits(other, again))
	assert.True(t, g.begins(other, again), "who tries one of those is the prober")
	assert.False(t, g.admits(other, again), "and there is one at a time")
	assert.True(t, g.prefersFresh(other))
	assert.True(t, g.admits(prober, again))
	assert.False(t, g.prefersFresh(prober))
	assert.True(t, g.admits(other, false), "while the others go on")

	g.succeeded(prober, false)
	assert.True(t, g.begins(other, again), "another message says nothing about those")
	g.succeeded(prober, again)
	assert.False(t, g.begins(other, again), "but one of them does")
}

// A firewall may answer 503 with a Retry-After to what one message holds.
func TestWhatIsAskedForAMessageThatAlwaysFailsHoldsUpNoOther(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(1, 1), longest: time.Minute}
	for range mostDistrust / 2 {
		g.failed(time.Now(), false, true, 1, time.Second)
		assert.True(t, g.paused, "it may be a server that has too much to do")
		g.succeeded(true, false)
	}
	probes, wait, _ := g.failed(time.Now(), g.begins(false, true), true, 1, time.Second)
	assert.True(t, probes)
	assert.Equal(t, time.Second, wait)
	assert.True(t, g.admits(false, false))
	assert.False(t, g.admits(false, true))
}

func TestAProberThatLeavesMakesRoomForAnother(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(1, 1)}
	for range outageAfter {
		g.failed(time.Now(), true, false, 1, 0)
	}
	g.resigned()
	assert.True(t, g.admits(false, false))
	probes, _, c := g.failed(time.Now().Add(tellEvery), false, false, 1, 0)
	assert.True(t, probes)
	assert.Equal(t, shut, c, "that is another outage")
}

func TestSuccessBeginsTheScheduleAgain(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(time.Millisecond, time.Hour)}
	for range 40 {
		g.failed(time.Now(), true, false, 1, 0)
	}
	g.succeeded(true, false)
	_, wait, _ := g.failed(time.Now(), false, false, 1, 0)
	assert.LessOrEqual(t, wait, time.Millisecond)
}

// A delivery that began before the outage says nothing about its end, so the waits
// go on growing.
func TestSuccessFromBeforeTheOutageDoesNotBeginTheScheduleAgain(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(1, time.Hour)}
	for range 60 {
		g.failed(time.Now(), true, false, 1, 0)
	}
	g.succeeded(false, false)
	longest := time.Duration(0)
	for range 100 {
		_, wait, _ := g.failed(time.Now(), true, false, 1, 0)
		longest = max(longest, wait)
	}
	assert.Greater(t, longest, time.Minute)
	assert.Equal(t, 160, g.failures)
}
