package seconds

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var now = time.Unix(1772452800, 0)

// take requires a move.
func take(t *testing.T, m *Memory, now time.Time, uses ...Use) int {
	t.Helper()
	move, ok := m.Take(now, uses...)
	require.True(t, ok)
	return move
}

func TestEachUseGetsTheNextFreeSecond(t *testing.T) {
	var m Memory
	for want := range Window {
		assert.Equal(t, want, take(t, &m, now, Use{Key: 1}))
	}
	_, ok := m.Take(now, Use{Key: 1})
	assert.False(t, ok, "the window is full")
	assert.Zero(t, take(t, &m, now, Use{Key: 2}), "another key has seconds of its own")
}

func TestSecondsPass(t *testing.T) {
	var m Memory
	take(t, &m, now, Use{Key: 1})
	take(t, &m, now, Use{Key: 1})
	assert.Equal(t, 1, take(t, &m, now.Add(time.Second), Use{Key: 1}), "the next second was used already")
	assert.Zero(t, take(t, &m, now.Add(time.Hour), Use{Key: 1}))
	assert.Zero(t, take(t, &m, now, Use{Key: 1}), "a clock that was set back by an hour begins anew")
	assert.Equal(t, 1, take(t, &m, now, Use{Key: 1}))
	late := now.Add(-time.Second) // of a caller that read the clock a moment before
	assert.Equal(t, 0, take(t, &m, late, Use{Key: 1}))
	assert.Equal(t, 3, take(t, &m, late, Use{Key: 1}), "what others have used since stays used")
}

func TestWhatIsNotedIsUsed(t *testing.T) {
	var m Memory
	m.Note(now, Use{Key: 1}, Use{Key: 1, After: 1}, Use{Key: 1, After: -1}, Use{Key: 1, After: Window})
	assert.Equal(t, 2, take(t, &m, now, Use{Key: 1}))
}

func TestUsesMoveTogether(t *testing.T) {
	var m Memory
	take(t, &m, now.Add(2*time.Second), Use{Key: 3})
	// The second of key 3, two seconds on, is used; so everything moves by one.
	assert.Equal(t, 1, take(t, &m, now, Use{Key: 1}, Use{Key: 2, After: 1}, Use{Key: 3, After: 2}))
	assert.Equal(t, 0, take(t, &m, now, Use{Key: 1}))
	assert.Equal(t, 2, take(t, &m, now, Use{Key: 1}), "the one between is used")
}

func TestWhatIsBeyondTheWindowIsFree(t *testing.T) {
	var m Memory
	for range 3 {
		assert.Zero(t, take(t, &m, now, Use{Key: 1, After: Window + 7}))
	}
	m.Note(now, Use{Key: 1, After: -1}, Use{Key: 1, After: Window})
	assert.Zero(t, take(t, &m, now, Use{Key: 1}))
}

func TestTheMemoryIsBounded(t *testing.T) {
	var m Memory
	for key := range uint64(3 * Remembered) {
		take(t, &m, now, Use{Key: key})
	}
	assert.LessOrEqual(t, len(m.young)+len(m.old), 2*Remembered)
	for key := uint64(2 * Remembered); key < 3*Remembered; key++ {
		assert.Equal(t, 1, take(t, &m, now, Use{Key: key}), "the last ones are remembered")
	}
	assert.Zero(t, take(t, &m, now, Use{Key: 0}), "the first one is not")
}

func TestWhatIsPastTakesNoMemory(t *testing.T) {
	const each = 1000
	var m Memory
	at := func(second int) time.Time { return now.Add(time.Duration(second) * time.Second) }
	fill := func(second, things int) {
		for i := range uint64(things) {
			take(t, &m, at(second), Use{Key: uint64(second)<<32 + i})
		}
	}
	const last = Window - 1
	take(t, &m, now, Use{Key: 1, After: last})
	fill(0, 20*each)
	for second := 1; second <= last; second++ {
		fill(second, each)
	}
	assert.LessOrEqual(t, m.most, 3*each)
	assert.LessOrEqual(t, len(m.young), m.most)
	assert.Empty(t, m.old)
	fill(last+1, 2*m.most)
	assert.Equal(t, 1, take(t, &m, at(last), Use{Key: last << 32}), "a caller that read the clock a moment before")
	assert.Equal(t, 1, take(t, &m, at(last), Use{Key: 1}), "a thing that used this second long ago")
}

func TestConcurrentUsesShareNoSecond(t *testing.T) {
	var m Memory
	var mu sync.Mutex
	seen := map[int]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range Window / 8 {
				move, ok := m.Take(now, Use{Key: 1})
				mu.Lock()
				assert.True(t, ok && !seen[move])
				seen[move] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	assert.Len(t, seen, Window)
}
