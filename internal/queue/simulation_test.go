package queue

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A server answers a request after some time, or refuses it.
type server interface {
	// serve returns how long the answer takes, and whether and for how long it
	// asks to wait. It is called with the number of requests under way.
	serve(now time.Time, under int) (takes time.Duration, refused bool, retryAfter time.Duration)
}

// steady answers after the same time always.
type steady time.Duration

func (s steady) serve(time.Time, int) (time.Duration, bool, time.Duration) {
	return time.Duration(s), false, 0
}

// A quota is a server that takes so many records in every second of its clock, and
// refuses what is beyond that.
type quota struct {
	takes      time.Duration
	each       int
	retryAfter time.Duration
	second     time.Time
	taken      int
}

func (s *quota) serve(now time.Time, _ int) (time.Duration, bool, time.Duration) {
	if second := now.Truncate(time.Second); !second.Equal(s.second) {
		s.second, s.taken = second, 0
	}
	if s.taken >= s.each {
		return s.takes, true, s.retryAfter
	}
	s.taken++
	return s.takes, false, 0
}

// A bucket is a server that refuses what comes when its bucket of tokens is empty,
// into which so many fall every second.
type bucket struct {
	takes      time.Duration
	each, size float64
	retryAfter time.Duration
	tokens     float64
	updated    time.Time
}

func (s *bucket) serve(now time.Time, _ int) (time.Duration, bool, time.Duration) {
	if s.updated.IsZero() {
		s.tokens, s.updated = s.size, now
	}
	s.tokens = min(s.size, s.tokens+now.Sub(s.updated).Seconds()*s.each)
	s.updated = now
	if s.tokens < 1 {
		return s.takes, true, s.retryAfter
	}
	s.tokens--
	return s.takes, false, 0
}

// A census counts all requests of the last second, and those it refuses too, which
// it does at once (HAProxy's http_req_rate).
type census struct {
	takes time.Duration
	each  int
	came  []time.Time
}

func (s *census) serve(now time.Time, _ int) (time.Duration, bool, time.Duration) {
	s.came = slices.DeleteFunc(s.came, func(at time.Time) bool { return now.Sub(at) >= time.Second })
	s.came = append(s.came, now)
	if len(s.came) > s.each {
		return time.Millisecond, true, 0
	}
	return s.takes, false, 0
}

// A line is a server that serves one after another, however many come.
type line struct {
	each time.Duration
	free time.Time
}

func (s *line) serve(now time.Time, _ int) (time.Duration, bool, time.Duration) {
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(s.each)
	return s.free.Sub(now), false, 0
}

// A crowd is a server that serves so many at once in 50 milliseconds, and that is
// slowed down by more than those so much that it achieves less.
type crowd int

func (s crowd) serve(_ time.Time, under int) (time.Duration, bool, time.Duration) {
	x := max(1, float64(under)/float64(s))
	return time.Duration(x * x * float64(50*time.Millisecond)), false, 0
}

// A full server serves so many at once, and asks the others to come back later.
type full struct {
	takes      time.Duration
	places     int
	retryAfter time.Duration
	ends       []time.Time // of those that are served
}

func (s *full) serve(now time.Time, _ int) (time.Duration, bool, time.Duration) {
	s.ends = slices.DeleteFunc(s.ends, func(end time.Time) bool { return !end.After(now) })
	if len(s.ends) >= s.places {
		return time.Millisecond, true, s.retryAfter
	}
	takes := s.takes + time.Duration(rand.ExpFloat64()*float64(s.takes/50))
	s.ends = append(s.ends, now.Add(takes))
	return takes, false, 0
}

// A noisy server answers after 50 milliseconds and something, sometimes much later,
// and fails at random.
type noisy struct {
	fails float64
	r     *rand.Rand
}

func newNoisy(fails float64) *noisy { return &noisy{fails, rand.New(rand.NewPCG(1, 2))} }

func (s *noisy) serve(time.Time, int) (time.Duration, bool, time.Duration) {
	takes := 50*time.Millisecond + time.Duration(s.r.ExpFloat64()*float64(20*time.Millisecond))
	if s.r.IntN(100) == 0 {
		takes += time.Second
	}
	return takes, s.r.Float64() < s.fails, 0
}

// A mute server fails where it refuses, and does not say why (502, 503).
type mute struct{ server }

// A balanced server has others behind it, of which some are dead, and does not notice.
type balanced struct {
	takes     time.Duration
	all, dead int
}

func (s balanced) serve(time.Time, int) (time.Duration, bool, time.Duration) {
	if rand.IntN(s.all) < s.dead {
		return time.Millisecond, true, 0
	}
	return s.takes, false, 0
}

// An alternating server has two others behind it that serve in turn, and one is dead.
type alternating struct {
	takes time.Duration
	dead  bool // it is the turn of that one
}

func (s *alternating) serve(time.Time, int) (time.Duration, bool, time.Duration) {
	if s.dead = !s.dead; s.dead {
		return time.Millisecond, true, 0
	}
	return s.takes, false, 0
}

// A halting server stands still for a while again and again, as a machine does whose
// processor time is limited. What it would answer then comes afterwards.
type halting struct {
	server
	every, lasts time.Duration
}

func (s halting) serve(now time.Time, under int) (time.Duration, bool, time.Duration) {
	takes, refused, retryAfter := s.server.serve(now, under)
	end := now.Add(takes)
	if passed := end.Sub(end.Truncate(s.every)); passed < s.lasts {
		takes += s.lasts - passed
	}
	return takes, refused, retryAfter
}

// A relieved server is another one after a while.
type relieved struct {
	first, then server
	after       time.Duration
	begin       time.Time
}

func (s *relieved) serve(now time.Time, under int) (time.Duration, bool, time.Duration) {
	if s.begin.IsZero() {
		s.begin = now
	}
	if now.Sub(s.begin) < s.after {
		return s.first.serve(now, under)
	}
	return s.then.serve(now, under)
}

// A troubled server answers late for a second, and a little later ever after.
type troubled struct{ begin time.Time }

func (s *troubled) serve(now time.Time, _ int) (time.Duration, bool, time.Duration) {
	if s.begin.IsZero() {
		s.begin = now
	}
	switch passed := now.Sub(s.begin); {
	case passed < 3*time.Second:
		return 50 * time.Millisecond, false, 0
	case passed < 4*time.Second:
		return time.Duration(300+200*rand.Float64()) * time.Millisecond, false, 0
	}
	return 68 * time.Millisecond, false, 0
}

// A second is what happened in one second of a simulation.
type second struct{ taken, refused, most int }

// simulate has an engine deliver to a server for so many seconds, with the queue
// never empty.
func simulate(t *testing.T, s server, ceiling, seconds int) (log []second) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		under := 0
		log = make([]second, seconds+1)
		begin := time.Now()
		note := func(f func(s *second)) {
			if i := int(time.Since(begin) / time.Second); i <= seconds {
				f(&log[i])
			}
		}
		e, end := newEngine(func(c *Config) {
			c.Ceiling, c.MaxRecords, c.MaxBytes, c.Full = ceiling, 5000, 1<<30, Wait
			c.InitialWait = 500 * time.Millisecond
		}, func(ctx context.Context, m *Message) Result {
			mu.Lock()
			under++
			takes, refused, retryAfter := s.serve(time.Now(), under)
			note(func(s *second) { s.most = max(s.most, under) })
			mu.Unlock()
			select {
			case <-time.After(takes):
			case <-ctx.Done():
			}
			mu.Lock()
			defer mu.Unlock()
			under--
			if refused {
				note(func(s *second) { s.refused++ })
				return refusal(s, retryAfter)
			}
			note(func(s *second) { s.taken++ })
			return delivered(m)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
		defer cancel()
		for e.Accept(ctx, NewMessage("m", 1, nil)) == nil {
		}
		end(ctx)
	})
	return log[:seconds]
}

// refusal returns what a server means by refusing.
func refusal(s server, retryAfter time.Duration) Result {
	switch s := s.(type) {
	case *relieved:
		return refusal(s.first, retryAfter)
	case mute:
		return Result{Err: errDown}
	case *full:
		return Result{Err: errDown, Throttled: true, Overloaded: true, RetryAfter: retryAfter}
	}
	return Result{Err: errDown, Throttled: true, RetryAfter: retryAfter}
}

// sum adds what happened from one second to another.
func sum(log []second) (total second) {
	for _, s := range log {
		total.taken += s.taken
		total.refused += s.refused
		total.most = max(total.most, s.most)
	}
	return total
}

// Whatever the server is, nearly all that it can take goes through, and nearly
// nothing is refused.
func TestSimulations(t *testing.T) {
	const delay = 50 * time.Millisecond
	for name, test := range map[string]struct {
		server      server
		from, until int     // the seconds that are looked at
		least, most float64 // taken a second
		refused     float64 // in a hundred, at most
		underWay    int     // at most
		ceiling     int     // 64 unless told
	}{
		"answers after 50 ms":    {server: steady(delay), from: 1, until: 10, least: 1250, most: 1280, underWay: 64},
		"ramps up in a second":   {server: steady(delay), from: 0, until: 1, least: 1000, most: 1280, underWay: 64},
		"answers after 200 ms":   {server: steady(4 * delay), from: 3, until: 20, least: 310, most: 320, underWay: 64},
		"becomes slower":         {server: &relieved{steady(delay), steady(4 * delay), 10 * time.Second, time.Time{}}, from: 12, until: 40, least: 300, most: 320, underWay: 64},
		"becomes faster":         {server: &relieved{steady(4 * delay), steady(delay), 10 * time.Second, time.Time{}}, from: 12, until: 20, least: 1250, most: 1280, underWay: 64},
		"late at random":         {server: mute{newNoisy(0)}, from: 3, until: 20, least: 740, most: 900, underWay: 64},
		"fails once in a 100":    {server: mute{newNoisy(0.01)}, from: 3, until: 20, least: 700, most: 900, refused: 1.5, underWay: 64},
		"fails once in a 50":     {server: mute{newNoisy(0.02)}, from: 20, until: 120, least: 600, most: 900, refused: 3, underWay: 64},
		"fails once in a 20":     {server: mute{newNoisy(0.05)}, from: 20, until: 120, least: 560, most: 900, refused: 6, underWay: 64},
		"is late for a second":   {server: &troubled{}, from: 15, until: 30, least: 850, most: 950, underWay: 64},
		"halts for 30 of 100 ms": {server: halting{steady(delay / 10), 2 * delay, 3 * delay / 5}, from: 5, until: 35, least: 7500, most: 9000, underWay: 64},
		"halts for 60 of 100 ms": {server: halting{steady(delay / 5), 2 * delay, 6 * delay / 5}, from: 5, until: 35, least: 2200, most: 2600, underWay: 64},
		"halts for 85 of 100 ms": {server: halting{steady(7 * delay / 10), 2 * delay, 17 * delay / 10}, from: 5, until: 35, least: 600, most: 650, underWay: 64},
		"serves one by one":      {server: &line{each: 5 * time.Millisecond}, from: 1, until: 120, least: 199, most: 200, underWay: 16},
		"slow if more than 20":   {server: crowd(20), from: 5, until: 120, least: 340, most: 400, underWay: 32}, // 20 may lie between two steps
		"slow if more than 4":    {server: crowd(4), from: 60, until: 120, least: 70, most: 80, underWay: 8},
		"200 a second":           {server: &quota{each: 200, retryAfter: time.Second, takes: delay}, from: 10, until: 70, least: 180, most: 200, refused: 1, underWay: 20},
		"200 a second, at once":  {server: &quota{each: 200, retryAfter: time.Second}, from: 10, until: 70, least: 180, most: 200, refused: 1, underWay: 20},
		"a bucket of 200":        {server: &bucket{each: 200, size: 200, retryAfter: time.Second, takes: delay}, from: 10, until: 70, least: 180, most: 205, refused: 1, underWay: 20},
		"a bucket of 20":         {server: &bucket{each: 200, size: 20, retryAfter: time.Second, takes: delay}, from: 20, until: 80, least: 180, most: 200, refused: 1, underWay: 20},
		"a bucket of 1":          {server: &bucket{each: 200, size: 1, retryAfter: time.Second, takes: delay}, from: 20, until: 80, least: 180, most: 200, refused: 1, underWay: 20},
		"a bucket without waits": {server: &bucket{each: 200, size: 200, takes: delay}, from: 10, until: 70, least: 180, most: 205, refused: 1, underWay: 20},
		"counts the refused":     {server: &census{each: 200, takes: delay}, from: 20, until: 80, least: 155, most: 200, refused: 1, underWay: 20, ceiling: 256},
		"asks to wait for long":  {server: &quota{each: 200, retryAfter: 5 * time.Second, takes: delay}, from: 30, until: 230, least: 170, most: 200, refused: 1, underWay: 20},
		"full with 10":           {server: &full{takes: delay, places: 10, retryAfter: 5 * time.Second}, from: 30, until: 330, least: 170, most: 200, refused: 1, underWay: 20},
		"full with 16":           {server: &full{takes: delay, places: 16, retryAfter: time.Second}, from: 10, until: 130, least: 270, most: 320, refused: 1, underWay: 20},
		"full with 100":          {server: &full{takes: delay, places: 100, retryAfter: time.Second}, from: 10, until: 130, least: 1700, most: 2000, refused: 1, underWay: 125, ceiling: 256},
		"is down and says so":    {server: &relieved{&full{takes: delay, places: 64, retryAfter: 5 * time.Second}, &relieved{&full{retryAfter: 5 * time.Second}, steady(delay), 15 * time.Second, time.Time{}}, 20 * time.Second, time.Time{}}, from: 55, until: 65, least: 1250, most: 1280, underWay: 64},
		"full with 2, and mute":  {server: mute{&full{takes: delay, places: 2}}, from: 10, until: 60, least: 36, most: 40, refused: 65, underWay: 32},
		"full, and mute":         {server: mute{&full{takes: delay, places: 10}}, from: 10, until: 60, least: 170, most: 200, refused: 4, underWay: 16},
		"full with 100, and so":  {server: mute{&full{takes: delay, places: 100}}, from: 10, until: 180, least: 1850, most: 2000, refused: 2, underWay: 130, ceiling: 256},
		"a bucket of 20, mute":   {server: mute{&bucket{each: 200, size: 20, takes: delay}}, from: 10, until: 60, least: 160, most: 205, refused: 5, underWay: 30},
		"200 a second, and mute": {server: mute{&quota{each: 200, takes: delay}}, from: 10, until: 130, least: 100, most: 200, refused: 1.5, underWay: 20},
		"a bucket of 1, mute":    {server: mute{&bucket{each: 200, size: 1, takes: delay}}, from: 10, until: 70, least: 50, most: 200, refused: 95, underWay: 64}, // nginx's limit_req without burst: nothing tells how far one request must be from the next
		"one of ten is dead":     {server: mute{balanced{delay, 10, 1}}, from: 20, until: 60, least: 900, most: 1280, refused: 12, underWay: 64},
		"one of four is dead":    {server: mute{balanced{delay, 4, 1}}, from: 20, until: 120, least: 800, most: 1280, refused: 30, underWay: 64},
		"every other one fails":  {server: mute{&alternating{takes: delay}}, from: 20, until: 120, least: 300, most: 1280, refused: 55, underWay: 64},
		"is full no more":        {server: &relieved{mute{&full{takes: delay, places: 10}}, steady(delay), 30 * time.Second, time.Time{}}, from: 64, until: 70, least: 1250, most: 1280, underWay: 64},
		"and does not ask again": {server: &relieved{&full{takes: delay, places: 10, retryAfter: 5 * time.Second}, steady(delay), 30 * time.Second, time.Time{}}, from: 140, until: 150, least: 1250, most: 1280, underWay: 64},
		"takes all after a time": {server: &relieved{&quota{each: 200, retryAfter: time.Second, takes: delay}, steady(delay), 10 * time.Second, time.Time{}}, from: 120, until: 130, least: 1000, most: 1280, underWay: 64},
	} {
		t.Run(name, func(t *testing.T) {
			log := simulate(t, test.server, cmp.Or(test.ceiling, 64), test.until)
			all := sum(log[test.from:])
			taken := float64(all.taken) / float64(test.until-test.from)
			refused := 100 * float64(all.refused) / float64(all.taken+all.refused)
			t.Logf("%.0f a second, %.2f %% refused, at most %d under way", taken, refused, all.most)
			assert.GreaterOrEqual(t, taken, test.least)
			assert.LessOrEqual(t, taken, test.most)
			assert.LessOrEqual(t, refused, test.refused)
			assert.LessOrEqual(t, all.most, test.underWay)
		})
	}
}
