package collect

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func number(n int) (id identity) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func begin(m *memory, id identity) state {
	state, _ := m.begin(id, noon)
	return state
}

func TestMemoryKeepsTheSecondOfTheFirstSight(t *testing.T) {
	m := newMemory(10)
	state, at := m.begin(number(1), noon)
	assert.Equal(t, unknown, state)
	assert.Equal(t, noon, at)
	m.end(number(1), false)
	state, at = m.begin(number(1), noon.Add(time.Minute))
	assert.Equal(t, unknown, state)
	assert.Equal(t, noon, at, "the sender did not take it the first time")
}

func TestMemoryKeepsAtLeastItsSizeAndAtMostTwice(t *testing.T) {
	const size = 10
	m := newMemory(size)
	for i := range 5*size + 3 {
		assert.Equal(t, unknown, begin(m, number(i)))
		m.end(number(i), true)
		for j := max(0, i-size); j <= i; j++ {
			assert.Equal(t, accepted, begin(m, number(j)), "%d of %d", j, i)
		}
		assert.LessOrEqual(t, len(m.recent)+len(m.older), 2*size)
	}
	assert.Empty(t, m.underWay)
}

func TestMemoryForgetsWhatWasNotAccepted(t *testing.T) {
	m := newMemory(1)
	assert.Equal(t, unknown, begin(m, number(1)))
	assert.Equal(t, underWay, begin(m, number(1)))
	m.end(number(1), false)
	assert.Equal(t, unknown, begin(m, number(1)))
}

func TestMemoryLetsOneOfManyBegin(t *testing.T) {
	m := newMemory(100)
	var began atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 100 {
				if begin(m, number(i)) == unknown {
					began.Add(1)
					m.end(number(i), true)
				}
			}
		})
	}
	group.Wait()
	assert.Equal(t, int64(100), began.Load())
}
