package queue

import (
	"context"
	"math/rand/v2"
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

// A noisy server answers after 50 milliseconds and something, sometimes much later,
// and fails at random.
type noisy struct {
	fails float64
	r     *rand.Rand
}

func (s *noisy) serve(time.Time, int) (time.Duration, bool, time.Duration) {
	takes := 50*time.Millisecond + time.Duration(s.r.ExpFloat64()*float64(20*time.Millisecond))
	if s.r.IntN(100) == 0 {
		takes += time.Second
	}
	return takes, s.r.Float64() < s.fails, 0
}

// A change is a server that is another one after a while.
type change2 struct {
	first, then server
	after       time.Duration
	begin       time.Time
}

func (s *change2) serve(now time.Time, under int) (time.Duration, bool, time.Duration) {
	if s.begin.IsZero() {
		s.begin = now
	}
	if now.Sub(s.begin) < s.after {
		return s.first.serve(now, under)
	}
	return s.then.serve(now, under)
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
				_, isNoisy := s.(*noisy)
				return Result{Err: errDown, Throttled: !isNoisy, RetryAfter: retryAfter}
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

// sum adds what happened from one second to another.
func sum(log []second) (total second) {
	for _, s := range log {
		total.taken += s.taken
		total.refused += s.refused
		total.most = max(total.most, s.most)
	}
	return total
}

func TestSimulations(t *testing.T) {
	for name, s := range map[string]server{
		"steady 0":            steady(0),
		"steady 50":           steady(50 * time.Millisecond),
		"steady 200":          steady(200 * time.Millisecond),
		"quota 0":             &quota{each: 200, retryAfter: time.Second},
		"quota 50":            &quota{each: 200, retryAfter: time.Second, takes: 50 * time.Millisecond},
		"quota 5s":            &quota{each: 200, retryAfter: 5 * time.Second, takes: 50 * time.Millisecond},
		"bucket 1 at 0":       &bucket{each: 200, size: 1, retryAfter: time.Second},
		"bucket 1 at 50":      &bucket{each: 200, size: 1, retryAfter: time.Second, takes: 50 * time.Millisecond},
		"bucket 20 at 50":     &bucket{each: 200, size: 20, retryAfter: time.Second, takes: 50 * time.Millisecond},
		"bucket 200 at 0":     &bucket{each: 200, size: 200, retryAfter: time.Second},
		"bucket 200 at 50":    &bucket{each: 200, size: 200, retryAfter: time.Second, takes: 50 * time.Millisecond},
		"bucket 200 no after": &bucket{each: 200, size: 200, takes: 50 * time.Millisecond},
		"noisy":               &noisy{0, rand.New(rand.NewPCG(1, 2))},
		"noisy 1%":            &noisy{.01, rand.New(rand.NewPCG(1, 2))},
		"noisy 5%":            &noisy{.05, rand.New(rand.NewPCG(1, 2))},
		"noisy 20%":           &noisy{.2, rand.New(rand.NewPCG(1, 2))},
		"50 then 200 at 10":   &change2{first: steady(50 * time.Millisecond), then: steady(200 * time.Millisecond), after: 10 * time.Second},
		"200 then 50 at 10":   &change2{first: steady(200 * time.Millisecond), then: steady(50 * time.Millisecond), after: 10 * time.Second},
		"quota then 50 at 10": &change2{first: &quota{each: 200, retryAfter: time.Second, takes: 50 * time.Millisecond}, then: steady(50 * time.Millisecond), after: 10 * time.Second},
		"line 200/s":          &line{each: 5 * time.Millisecond},
		"crowd of 20":         crowd(20),
		"crowd of 4":          crowd(4),
	} {
		t.Run(name, func(t *testing.T) {
			if d, ok := s.(steady); ok && d == 0 {
				t.Skip()
			}
			log := simulate(t, s, 256, 120)
			for _, r := range [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 10}, {10, 20}, {20, 40}, {40, 60}, {60, 120}} {
				x := sum(log[r[0]:r[1]])
				t.Logf("%3d-%3d s: %6.0f taken/s %5.1f refused/s most %d", r[0], r[1], float64(x.taken)/float64(r[1]-r[0]), float64(x.refused)/float64(r[1]-r[0]), x.most)
			}
			assert.True(t, true)
		})
	}
}
