package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A bench is a limiter with a clock.
type bench struct {
	l   *Limiter
	now time.Time
}

func newBench(ceiling int) *bench {
	return &bench{NewLimiter(ceiling), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// enter takes places until there are none, or so many.
func (b *bench) enter(most int) (taken int) {
	for taken < most {
		if _, ok := b.l.Enter(b.now, 1); !ok {
			break
		}
		taken++
	}
	return taken
}

// answers has all places taken and answered after a time, again and again until a round
// has ended.
func (b *bench) answers(after time.Duration) *bench {
	b.some(b.l.Limit(), after)
	for began := b.l.round.began; !began.IsZero() && b.l.round.began.Equal(began); {
		b.some(b.l.Limit(), after)
	}
	return b
}

// some has so many places taken and answered after a time.
func (b *bench) some(most int, after time.Duration) *bench {
	b.now = b.now.Add(1)
	began, taken := b.now, b.enter(most)
	b.now = b.now.Add(after)
	for range taken {
		b.l.Succeeded(began, b.now, 1)
		b.l.Leave()
	}
	return b
}

// failures has all places taken, and some of what is under way fail.
func (b *bench) failures(most int) *bench {
	b.now = b.now.Add(1)
	began, taken := b.now, b.enter(b.l.Limit())
	b.now = b.now.Add(50 * time.Millisecond)
	for i := range taken {
		if i < most {
			b.l.Failed(began, b.now)
		} else {
			b.l.Succeeded(began, b.now, 1)
		}
		b.l.Leave()
	}
	return b
}

func TestLimiter(t *testing.T) {
	const quick, slow = 50 * time.Millisecond, 500 * time.Millisecond
	fast := func(rounds int) *bench {
		b := newBench(1000)
		for range rounds {
			b.answers(quick)
		}
		return b
	}
	for name, test := range map[string]struct {
		want int
		of   *bench
	}{
		"begins with few": {8, newBench(1000)},
		"begins with less where the ceiling is less":    {3, newBench(3)},
		"doubles while answers take no longer":          {64, fast(3)},
		"never passes the ceiling":                      {1000, fast(20)},
		"stays while places are free":                   {64, fast(3).some(63, quick).some(63, quick)},
		"twice as long is not slow":                     {128, fast(3).answers(2 * quick)},
		"one slow round is none":                        {64, fast(3).answers(slow)},
		"nor are two with another one between them":     {128, fast(3).answers(slow).answers(quick).answers(slow)},
		"halves for a round after two that are slow":    {32, fast(3).answers(slow).answers(slow)},
		"and goes back where fewer are no faster":       {64, fast(3).answers(slow).answers(slow).answers(400 * time.Millisecond)},
		"after that it goes by the new measure":         {128, fast(3).answers(slow).answers(slow).answers(slow).answers(slow)},
		"stays halved where fewer are faster":           {32, fast(3).answers(slow).answers(slow).answers(370 * time.Millisecond)},
		"grows by a quarter after that":                 {40, fast(3).answers(slow).answers(slow).answers(quick)},
		"a few milliseconds are never slow":             {32, newBench(1000).answers(10 * time.Microsecond).answers(2 * time.Millisecond)},
		"is never below the fewest":                     {4, fast(1).answers(slow).answers(slow).answers(370 * time.Millisecond).answers(300 * time.Millisecond).answers(200 * time.Millisecond).answers(150 * time.Millisecond)},
		"is never below few where answers can be quick": {8, newBench(1000).answers(time.Millisecond).answers(slow).answers(slow).answers(370 * time.Millisecond).answers(300 * time.Millisecond)},
		"less than one failure in ten is none":          {64, fast(3).failures(6)},
		"halves when more than one in ten fail":         {32, fast(3).failures(8)},
		"halves once for all that fail together": {
			32, fast(3).failures(64),
		},
		"halves again for what fails later":    {16, fast(3).failures(64).failures(32)},
		"not below the fewest by failures":     {4, fast(0).failures(8).failures(8).failures(8).failures(8)},
		"two failures of few are not too many": {8, fast(0).failures(2)},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, test.of.l.Limit())
			assert.Zero(t, test.of.l.under)
		})
	}
}

func TestLimiterBeginsAgainAfterARest(t *testing.T) {
	b := newBench(1000)
	for range 5 {
		b.answers(50 * time.Millisecond)
	}
	b.now = b.now.Add(restAfter - time.Second)
	assert.Equal(t, 256, b.enter(1000), "not yet")
	for range 256 {
		b.l.Leave()
	}
	b.now = b.now.Add(restAfter + time.Second)
	assert.Equal(t, few, b.enter(1000))
}

// More achieve less: the limit goes back to what achieved most, and rests.
func TestLimiterGoesBackToWhatAchievedMost(t *testing.T) {
	b := newBench(1000)
	b.answers(50 * time.Millisecond).answers(500 * time.Millisecond).answers(500 * time.Millisecond)
	assert.Equal(t, 8, b.l.Limit())
	b.answers(50 * time.Millisecond) // that is faster: it does not double any more
	assert.Equal(t, 10, b.l.Limit())
	b.answers(90 * time.Millisecond)
	assert.Equal(t, 8, b.l.Limit(), "10 in 90 ms are less than 8 in 50 ms")
	for range 3 {
		b.answers(50 * time.Millisecond)
		assert.Equal(t, 8, b.l.Limit(), "it rests")
	}
	b.now = b.now.Add(rest)
	b.answers(50 * time.Millisecond)
	assert.Equal(t, 10, b.l.Limit())
}

// Answers have become slower, though not slow: fewer may achieve as much.
func TestLimiterTriesWhetherFewerAchieveAsMuch(t *testing.T) {
	for name, test := range map[string]struct {
		answers time.Duration // with fewer
		want    int
	}{
		"they do":     {60 * time.Millisecond, 8},
		"they do not": {80 * time.Millisecond, 10},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(1000)
			b.answers(50 * time.Millisecond).answers(500 * time.Millisecond).answers(500 * time.Millisecond).answers(50 * time.Millisecond)
			b.answers(62 * time.Millisecond) // 10 achieve what 8 did
			b.l.limit, b.l.back, b.l.restUntil = 10, 0, time.Time{}
			b.answers(80 * time.Millisecond)
			assert.Equal(t, 8, b.l.Limit(), "it tries")
			b.answers(test.answers)
			assert.GreaterOrEqual(t, b.l.Limit(), test.want)
			assert.Less(t, b.l.Limit(), test.want+4)
		})
	}
}

// The shortest round is measured again by half as many, of which those that were
// under way before do not count.
func TestLimiterMeasuresAgain(t *testing.T) {
	b := newBench(64)
	for range 5 {
		b.answers(50 * time.Millisecond)
	}
	b.now = b.now.Add(1)
	began := b.now
	b.enter(32) // from before
	b.now = b.now.Add(probeEvery)
	b.some(32, 90*time.Millisecond).answers(90 * time.Millisecond)
	assert.Equal(t, 32, b.l.Limit())
	for range 32 {
		b.l.Succeeded(began, b.now, 1)
		b.l.Leave()
	}
	assert.Equal(t, 32, b.l.Limit())
	b.answers(70 * time.Millisecond)
	assert.Equal(t, 64, b.l.Limit())
	assert.Equal(t, 70*time.Millisecond, b.l.shortest)
}

// The records of a message are sent one after the other.
func TestLimiterCountsTheTimeOfOneRecord(t *testing.T) {
	b := newBench(1000)
	for range 8 {
		_, ok := b.l.Enter(b.now, 4)
		assert.True(t, ok)
	}
	began := b.now.Add(1)
	for range 8 {
		b.l.Succeeded(began, began.Add(400*time.Millisecond), 4)
	}
	assert.Equal(t, 100*time.Millisecond, b.l.shortest)
}

// A server that asks to wait because it has too much to do has so many places.
func TestLimiterOverloaded(t *testing.T) {
	const quick = 50 * time.Millisecond
	found := func(then time.Duration) *bench { // it does not double any more
		return newBench(1000).answers(quick).answers(quick).answers(quick).answers(10 * quick).answers(10 * quick).answers(then)
	}
	for name, test := range map[string]struct {
		of       *bench
		under    int
		limit    int
		searches bool // more are tried soon
		paced    bool
	}{
		"while it doubles, half may be too few": {of: newBench(1000).answers(quick).answers(quick), under: 32, limit: 16, searches: true},
		"a quarter more was too much":           {of: found(quick), under: 40, limit: 32},
		"fewer places than before":              {of: found(7 * quick), under: 30, limit: 27},
		"very few are not too many":             {of: found(7 * quick), under: 4, limit: 32, searches: true, paced: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := test.of
			b.l.pace.succeeded(b.now, 100)
			b.now = b.now.Add(1)
			began := b.now
			assert.Equal(t, test.under, b.enter(test.under))
			b.now = b.now.Add(time.Millisecond)
			answered := b.l.pace.recent.count
			for range test.under / 2 { // all for the same reason
				b.l.Overloaded(began, b.now, 1, time.Second)
				b.l.Leave()
			}
			assert.Equal(t, test.limit, b.l.Limit())
			assert.Equal(t, test.searches, !b.now.Before(b.l.restUntil))
			assert.Equal(t, test.paced, b.l.pace.rate > 0)
			assert.Equal(t, answered+float64(test.under/2), b.l.pace.recent.count, "records before the refused one were answered")
		})
	}
}

// Of more than what is usual, or of very few, nothing is said by one in ten.
func TestLimiterCountsFailuresAmongManyDeliveries(t *testing.T) {
	for name, test := range map[string]struct {
		answers, fails int
		usual          float64
		halves         bool
	}{
		"4 of 8":                       {4, 4, 0, false},
		"5 of 9":                       {4, 5, 0, true},
		"5 of 45":                      {40, 5, 0, true},
		"8 of 90":                      {82, 8, 0, false},
		"10 of 90":                     {80, 10, 0, true},
		"10 of 90 where 5 are usual":   {80, 10, 0.05, false},
		"17 of 90 where 5 are usual":   {73, 17, 0.05, true},
		"45 of 90 where half is usual": {45, 45, 0.5, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLimiter(8)
			began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			l.usual = test.usual
			for range test.answers {
				l.Succeeded(began, began.Add(time.Millisecond), 1)
			}
			for range test.fails {
				l.Failed(began, began.Add(time.Millisecond))
			}
			assert.Equal(t, test.halves, l.trial.on)
		})
	}
}

// What fails is not achieved: more of which the same number is answered are not kept.
func TestLimiterDoesNotCountWhatFailsAsAchieved(t *testing.T) {
	b := newBench(1000)
	b.answers(50 * time.Millisecond).answers(500 * time.Millisecond).answers(500 * time.Millisecond)
	b.answers(50 * time.Millisecond)
	assert.Equal(t, 10, b.l.Limit())
	b.l.usual = 0.5 // of old
	for b.l.back > 0 {
		b.failures(2)
	}
	assert.Equal(t, 8, b.l.Limit())
}
