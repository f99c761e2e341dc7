package retry

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWaitsDoubleUpToTheirLimit(t *testing.T) {
	const initial, limit = time.Second, 5 * time.Minute
	bound := initial
	for n := 1; n <= 100; n++ {
		shortest, longest := limit, time.Duration(0)
		for range 400 {
			wait := Wait(n, initial, limit)
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		assert.Less(t, longest, bound, "the wait %d", n)
		assert.Greater(t, longest, bound*9/10, "the wait %d has full jitter", n)
		assert.Less(t, shortest, bound/10, "the wait %d has full jitter", n)
		bound = min(2*bound, limit)
	}
}

func TestWaitsOfOddBoundsAreInThem(t *testing.T) {
	for _, n := range []int{math.MinInt, -1, 0, 1, 2, 62, 63, 64, math.MaxInt} {
		for _, initial := range []time.Duration{-1, 0, 1, 3, math.MaxInt64} {
			for _, limit := range []time.Duration{-1, 0, 1, 2, math.MaxInt64} {
				wait := Wait(n, initial, limit)
				assert.GreaterOrEqual(t, wait, time.Duration(0))
				assert.Less(t, wait, max(1, limit), "%d, %d, %d", n, initial, limit)
			}
		}
	}
}
