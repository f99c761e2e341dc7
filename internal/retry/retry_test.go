package retry

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestScheduleDrawsEachWaitBetweenZeroAndItsBound(t *testing.T) {
	const initial, limit = 100 * time.Millisecond, time.Second
	bounds := []time.Duration{initial, 2 * initial, 4 * initial, 8 * initial, limit, limit, limit}
	longest := make([]time.Duration, len(bounds))
	shortest := make([]time.Duration, len(bounds))
	for i := range shortest {
		shortest[i] = math.MaxInt64
	}
	for range 2000 {
		s := NewSchedule(initial, limit)
		for i, bound := range bounds {
			wait := s.Next(0, 0)
			assert.GreaterOrEqual(t, wait, time.Duration(0))
			assert.LessOrEqual(t, wait, bound)
			longest[i] = max(longest[i], wait)
			shortest[i] = min(shortest[i], wait)
		}
	}
	// Two thousand even draws miss the outer twentieth with a chance of 10⁻⁴⁴.
	for i, bound := range bounds {
		assert.Greater(t, longest[i], bound*19/20, "wait %d", i+1)
		assert.Less(t, shortest[i], bound/20, "wait %d", i+1)
	}
}

func TestScheduleReset(t *testing.T) {
	s := NewSchedule(time.Millisecond, time.Hour)
	for range 20 {
		s.Next(0, 0)
	}
	s.Reset()
	assert.LessOrEqual(t, s.Next(0, 0), time.Millisecond)
}

func TestScheduleHonoursAndClampsTheServersWish(t *testing.T) {
	s := NewSchedule(time.Millisecond, time.Millisecond)
	assert.Equal(t, 7*time.Second, s.Next(7*time.Second, time.Minute))
	assert.Equal(t, time.Minute, s.Next(time.Hour, time.Minute))
}

func TestScheduleOfTinyBounds(t *testing.T) {
	s := NewSchedule(time.Hour, 1)
	for range 100 {
		assert.LessOrEqual(t, s.Next(0, 0), time.Duration(1))
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		header string
		want   time.Duration
	}{
		"absent":              {"", 0},
		"seconds":             {"120", 2 * time.Minute},
		"seconds with spaces": {" 7 ", 7 * time.Second},
		"zero":                {"0", 0},
		"negative":            {"-5", 0},
		"fraction":            {"1.5", 0},
		"beyond a Duration":   {"18446744073709551615", 9223372036 * time.Second},
		"date":                {"Fri, 02 Jan 2026 03:05:05 GMT", time.Minute},
		"past date":           {"Fri, 02 Jan 2026 03:03:05 GMT", 0},
		"old date form":       {"Friday, 02-Jan-26 03:04:35 GMT", 30 * time.Second},
		"nonsense":            {"soon", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, After(http.Header{"Retry-After": {test.header}}, now))
		})
	}
}
