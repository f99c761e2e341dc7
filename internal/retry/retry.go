// Package retry says when to try again: an exponential schedule with full
// jitter, and the Retry-After of an HTTP answer.
package retry

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Schedule yields the waits between the attempts at one delivery. The n-th wait
// is drawn evenly from zero to the smaller of limit and initial·2ⁿ⁻¹. This is
// "full jitter": senders that were cut off together do not come back together.
// A Schedule is not safe for concurrent use.
type Schedule struct {
	initial, limit time.Duration
	failures       int
}

// NewSchedule returns a schedule whose waits are at most initial, 2·initial,
// 4·initial and so on, and never more than limit.
func NewSchedule(initial, limit time.Duration) *Schedule {
	return &Schedule{initial: initial, limit: limit}
}

// Next returns the wait before the next attempt. A server's own wish (its
// Retry-After, zero for none) counts where it is the longer of the two, up to
// most.
func (s *Schedule) Next(wish, most time.Duration) time.Duration {
	s.failures++
	return max(Wait(s.failures, s.initial, s.limit), min(wish, most))
}

// Reset begins the schedule again, as after a success.
func (s *Schedule) Reset() { s.failures = 0 }

// After returns how long the Retry-After header asks to wait. The header gives
// seconds, with or without a fraction, or an HTTP date (RFC 9110, section
// 10.2.3). A date is compared with the Date header of the same answer, so that
// it does not matter whether the two clocks agree, and with now where there is
// no such header. The result is zero where the header is absent, in the past or
// not understood; seconds beyond any Duration are the longest Duration.
func After(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if wait, ok := seconds(value); ok {
		return wait
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return max(0, at.Sub(now))
}

// seconds reads a plain decimal number of seconds.
func seconds(value string) (wait time.Duration, ok bool) {
	if strings.Trim(value, "0123456789.") != "" { // no sign, no exponent, no "Inf"
		return 0, false
	}
	n, err := strconv.ParseFloat(value, 64)
	switch {
	case n*float64(time.Second) >= math.MaxInt64: // infinite, where err says so
		return math.MaxInt64, true
	case err != nil:
		return 0, false
	}
	return time.Duration(n * float64(time.Second)), true
}
