package collect

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

func number(n int) (id identity) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func TestMemoryKeepsAtLeastItsSizeAndAtMostTwice(t *testing.T) {
	const size = 10
	m := newMemory(size)
	for i := range 5*size + 3 {
		assert.Equal(t, unknown, m.begin(number(i)))
		m.end(number(i), true)
		for j := max(0, i-size); j <= i; j++ {
			assert.Equal(t, accepted, m.begin(number(j)), "%d of %d", j, i)
		}
		assert.LessOrEqual(t, len(m.recent)+len(m.older), 2*size)
	}
	assert.Empty(t, m.underWay)
}

func TestMemoryForgetsWhatWasNotAccepted(t *testing.T) {
	m := newMemory(1)
	assert.Equal(t, unknown, m.begin(number(1)))
	assert.Equal(t, underWay, m.begin(number(1)))
	m.end(number(1), false)
	assert.Equal(t, unknown, m.begin(number(1)))
}

func TestMemoryLetsOneOfManyBegin(t *testing.T) {
	m := newMemory(100)
	var began atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 100 {
				if m.begin(number(i)) == unknown {
					began.Add(1)
					m.end(number(i), true)
				}
			}
		})
	}
	group.Wait()
	assert.Equal(t, int64(100), began.Load())
}
