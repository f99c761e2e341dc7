package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A track is a pace with a clock, and somebody who always wants to send.
type track struct {
	p   pace
	now time.Time
}

func newTrack() *track { return &track{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// run sends as much as the pace allows for some time, all of which is taken, and
// returns how many records a second that was. Without a bound it sends so many a
// second.
func (k *track) run(during time.Duration, unbound float64) float64 {
	sent := 0
	for end := k.now.Add(during); k.now.Before(end); {
		if wait := k.p.take(k.now, 1); wait > 0 {
			k.now = k.now.Add(wait)
			continue
		}
		sent++
		k.p.succeeded(k.now, 1)
		if k.p.rate == 0 {
			k.now = k.now.Add(time.Duration(float64(time.Second) / unbound))
		}
	}
	return float64(sent) / during.Seconds()
}

// complain has the server complain about what begins now, and waits as it asks.
func (k *track) complain(retryAfter time.Duration) {
	k.now = k.now.Add(1)
	k.p.throttled(k.now, k.now, retryAfter)
	k.now = k.now.Add(retryAfter)
}

func TestPace(t *testing.T) {
	k := newTrack()
	assert.InDelta(t, 1000, k.run(10*time.Second, 1000), 1, "no complaint, no bound")

	k.complain(time.Second)
	assert.InDelta(t, 1000, k.run(held, 0), 20, "what the server took in the last second, for a second")
	assert.InDelta(t, 1443, k.run(time.Second, 0), 50, "then it doubles")
	assert.InDelta(t, 2885, k.run(time.Second, 0), 100, "every second")

	k.complain(time.Second)
	assert.InDelta(t, share*2885, k.p.rate, 150, "a little less than what was taken")
	k.run(calm, 0)
	assert.InDelta(t, 4000, k.p.rate, 150, "after 30 seconds it is as before")
	k.run(calm, 0)
	assert.InDelta(t, 4000*(2-share), k.p.rate, 200, "after 30 more a little faster")
	k.run(calm/3, 0)
	assert.InDelta(t, 2*4000*(2-share), k.p.rate, 500, "then it doubles every 10 seconds")
}

func TestPaceAfterSeveralComplaints(t *testing.T) {
	learned := func() *track {
		k := newTrack()
		k.run(2*time.Second, 400)
		k.complain(time.Second)
		k.run(2*time.Second, 0)
		k.complain(time.Second)
		return k
	}
	for name, test := range map[string]struct {
		then func(k *track)
		want float64 // of the pace before it
	}{
		"one that is due to the same": {func(k *track) { k.p.throttled(k.p.told, k.now, 0) }, 1},
		"one after which nothing was taken for a second, which is an outage": {func(k *track) {
			k.now = k.now.Add(2 * time.Second)
			k.complain(0)
		}, 1},
		"at once, when there is no second to measure": {func(k *track) {
			k.run(500*time.Millisecond, 0)
			k.p.rate = 100
			k.complain(0)
			k.p.rate /= 100
		}, share * share},
	} {
		t.Run(name, func(t *testing.T) {
			k := learned()
			before := k.p.rate
			test.then(k)
			if name == "at once, when there is no second to measure" {
				before = 1
			}
			assert.InDelta(t, test.want*before, k.p.rate, before/100)
		})
	}

	k := learned()
	k.run(20*time.Second, 0)
	rate := k.p.rate
	k.complain(time.Second)
	assert.InDelta(t, share*rate, k.p.rate, rate/50, "later: what was taken in the second before")
	assert.Equal(t, calm, k.p.calm)
	k.run(2*time.Second, 0)
	k.complain(5 * time.Second)
	assert.Equal(t, 100*time.Second, k.p.calm, "the longer the wait, the later the next")
	k.run(2*time.Second, 0)
	k.complain(5 * time.Minute)
	assert.Equal(t, longestCalm, k.p.calm)
}

// What is not used does not become faster, and is no store for later.
func TestPaceThatIsNotUsed(t *testing.T) {
	k := newTrack()
	k.run(2*time.Second, 100)
	k.complain(time.Second)
	rate := k.p.rate
	for range 60 { // once a second
		assert.Zero(t, k.p.take(k.now, 1))
		k.now = k.now.Add(time.Second)
	}
	assert.InDelta(t, rate, k.p.rate, 0.001)
	assert.Zero(t, k.p.take(k.now, 1))
	assert.Positive(t, k.p.take(k.now, 1), "a second one at once")
}

// Several records of one message are one after the other, and the next message
// waits for all of them.
func TestPaceOfMessagesWithSeveralRecords(t *testing.T) {
	k := newTrack()
	k.run(2*time.Second, 100)
	k.complain(time.Second)
	assert.Zero(t, k.p.take(k.now, 10))
	assert.InDelta(t, float64(100*time.Millisecond), float64(k.p.take(k.now, 1)), float64(5*time.Millisecond))
}

func TestPaceIsForgotten(t *testing.T) {
	k := newTrack()
	k.run(2*time.Second, 100)
	k.complain(time.Second)
	k.now = k.now.Add(forgotten)
	assert.Zero(t, k.p.take(k.now, 1))
	assert.Zero(t, k.p.rate)
	assert.Zero(t, k.p.take(k.now, 1))
}

func TestPaceIsNeverNothing(t *testing.T) {
	k := newTrack()
	k.p.succeeded(k.now, 1)
	for range 50 {
		k.complain(0)
		k.p.succeeded(k.now, 1)
	}
	assert.GreaterOrEqual(t, k.p.rate, slowest)
}

func TestWindow(t *testing.T) {
	var w window
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	assert.Zero(t, w.rate(begin))
	for i := range 100 {
		w.add(at(float64(i)/100), 2)
	}
	assert.InDelta(t, 200, w.rate(at(0.99)), 1)
	assert.InDelta(t, 150, w.rate(at(1.25)), 1, "a quarter of it is over a second ago")
	w.add(at(1.5), 30)
	assert.InDelta(t, 130, w.rate(at(1.5)), 1)
	assert.InDelta(t, 30, w.rate(at(2)), 1)
	assert.Zero(t, w.rate(at(4)))
}
