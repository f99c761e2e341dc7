package retry

import (
	"math/rand/v2"
	"time"
)

// Wait returns the n-th wait of a schedule, counted from one, for callers that keep
// the number of failures and not the schedule: it is drawn evenly from zero to
// initial·2ⁿ⁻¹, but at most to limit.
func Wait(n int, initial, limit time.Duration) time.Duration {
	bound := max(1, min(initial, limit))
	for ; n > 1 && bound < limit; n-- {
		if bound > limit/2 { // twice as much would be beyond the limit
			bound = limit
		} else {
			bound *= 2
		}
	}
	return rand.N(bound) //nolint:gosec // nobody gains by guessing it
}
