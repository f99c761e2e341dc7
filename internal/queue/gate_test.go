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
					probes, wait, got = g.failed(now, step.who, step.wish)
				} else {
					got = g.succeeded(step.who)
				}
				assert.Equal(t, step.probes, probes, "step %d: is the prober", i)
				assert.Equal(t, step.wait, wait, "step %d: waits", i)
				assert.Equal(t, step.change, got, "step %d: changes", i)
				assert.Equal(t, step.admitted, g.admits(other), "step %d: admits others", i)
				assert.True(t, g.admits(prober), "step %d: admits the prober", i)
				assert.Equal(t, step.nextAhead, g.ahead(now), "step %d: ahead", i)
			}
		})
	}
}

func TestAProberThatLeavesMakesRoomForAnother(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(1, 1)}
	for range outageAfter {
		g.failed(time.Now(), true, 0)
	}
	g.resigned()
	assert.True(t, g.admits(false))
	probes, _, _ := g.failed(time.Now(), false, 0)
	assert.True(t, probes)
}

func TestSuccessBeginsTheScheduleAgain(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(time.Millisecond, time.Hour)}
	for range 40 {
		g.failed(time.Now(), true, 0)
	}
	g.succeeded(true)
	_, wait, _ := g.failed(time.Now(), false, 0)
	assert.LessOrEqual(t, wait, time.Millisecond)
}

// A delivery that began before the outage says nothing about its end, so the waits
// go on growing.
func TestSuccessFromBeforeTheOutageDoesNotBeginTheScheduleAgain(t *testing.T) {
	g := gate{schedule: retry.NewSchedule(1, time.Hour)}
	for range 60 {
		g.failed(time.Now(), true, 0)
	}
	g.succeeded(false)
	longest := time.Duration(0)
	for range 100 {
		_, wait, _ := g.failed(time.Now(), true, 0)
		longest = max(longest, wait)
	}
	assert.Greater(t, longest, time.Minute)
	assert.Equal(t, 160, g.failures)
}
