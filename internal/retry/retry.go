// Package retry says when to try again: an exponential schedule with full
// jitter, and the Retry-After of an HTTP answer.
package retry

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Schedule yields the waits between the attempts at one delivery. The n-th wait
// is drawn evenly from zero to the smaller of limit and initial·2ⁿ⁻¹ ("full
// jitter"), so that many senders cut off at once do not come back at once. It
// is not safe for concurrent use.
type Schedule struct {
	backoff backoff.ExponentialBackOff
	limit   time.Duration
}

// NewSchedule returns a schedule whose waits are at most initial, 2·initial,
// 4·initial and so on, and never more than limit.
func NewSchedule(initial, limit time.Duration) *Schedule {
	initial = min(initial, limit)
	return &Schedule{
		limit: limit,
		// The library draws from the interval ±100%, hence from zero to twice
		// the interval: half the bound gives the bound.
		backoff: backoff.ExponentialBackOff{
			InitialInterval:     max(1, initial/2),
			MaxInterval:         max(1, limit/2),
			Multiplier:          2,
			RandomizationFactor: 1,
		},
	}
}

// Next returns the wait before the next attempt. A server's own wish (its
// Retry-After; zero for none) is honoured where it is the longer of the two,
// up to most.
func (s *Schedule) Next(wish, most time.Duration) time.Duration {
	return max(min(s.backoff.NextBackOff(), s.limit), min(wish, most))
}

// Reset begins the schedule again, as after a success.
func (s *Schedule) Reset() { s.backoff.Reset() }

// After returns how long the Retry-After header asks to wait, given in seconds
// or as an HTTP date (RFC 9110, section 10.2.3), and zero where it is absent,
// past or not understood.
func After(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		const most = uint64(1<<63-1) / uint64(time.Second)
		return time.Duration(min(seconds, most)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
