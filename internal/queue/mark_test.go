package queue

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func TestMarks(t *testing.T) {
	s := newMarks()
	assert.True(t, isDone(s.flush()), "nothing was accepted")

	first, second := s.accepted(), s.accepted()
	one := s.flush()
	assert.Equal(t, one, s.flush(), "nothing came in between")
	third := s.accepted()
	two := s.flush()
	fourth := s.accepted()

	s.settled(third)
	assert.False(t, isDone(two), "what came before it is not settled")
	s.settled(first)
	assert.False(t, isDone(one))
	s.settled(second)
	assert.True(t, isDone(one))
	assert.True(t, isDone(two))
	three := s.flush()
	assert.False(t, isDone(three))
	s.settled(fourth)
	assert.True(t, isDone(three))
	assert.True(t, isDone(s.flush()))
}

// A Flush takes the same memory however many wait.
func TestAFlushAllocatesOneMark(t *testing.T) {
	s := newMarks()
	allocated := func(flushes int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range flushes {
			s.accepted()
			s.flush()
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / uint64(flushes)
	}
	few := allocated(1000)
	assert.InDelta(t, few, allocated(20_000), float64(few))
}

// BenchmarkFlush has so many calls wait at once, and the newest settled first,
// which is the worst case. The time for each must not depend on their number.
func BenchmarkFlush(b *testing.B) {
	for _, flushes := range []int{2000, 4000, 8000} {
		b.Run(strconv.Itoa(flushes), func(b *testing.B) {
			waiting := make([]*mark, flushes)
			for b.Loop() {
				s := newMarks()
				for i := range waiting {
					waiting[i] = s.accepted()
					s.flush()
				}
				for i := range waiting {
					s.settled(waiting[len(waiting)-1-i])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*flushes), "ns/flush")
		})
	}
}
