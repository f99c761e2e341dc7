package retry

import (
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// drawn returns the waits of many schedules, sorted: the n-th slice has the n-th
// waits.
func drawn(initial, limit time.Duration, waits int) [][]time.Duration {
	const schedules = 4000
	all := make([][]time.Duration, waits)
	for range schedules {
		s := NewSchedule(initial, limit)
		for i := range all {
			all[i] = append(all[i], s.Next(0, 0))
		}
	}
	for i := range all {
		slices.Sort(all[i])
	}
	return all
}

// The quartiles of 4,000 even draws are off by a twentieth of the range with a
// chance of less than 10⁻¹², so these tests do not fail by bad luck.
func TestScheduleDrawsEachWaitEvenlyBetweenZeroAndItsBound(t *testing.T) {
	const initial, limit = 100 * time.Millisecond, time.Second
	bounds := []time.Duration{initial, 2 * initial, 4 * initial, 8 * initial, limit, limit, limit}
	for i, waits := range drawn(initial, limit, len(bounds)) {
		bound := bounds[i]
		for quarter := range 5 {
			at := min(quarter*len(waits)/4, len(waits)-1)
			assert.InDelta(t, float64(bound)*float64(quarter)/4, float64(waits[at]), float64(bound)/20,
				"wait %d, quartile %d", i+1, quarter)
		}
		assert.GreaterOrEqual(t, waits[0], time.Duration(0))
		assert.LessOrEqual(t, waits[len(waits)-1], bound)
	}
}

func TestScheduleWhoseLimitIsNoMultipleOfItsInitialWait(t *testing.T) {
	bounds := []float64{3, 6, 10, 10} // in milliseconds
	for i, waits := range drawn(3*time.Millisecond, 10*time.Millisecond, len(bounds)) {
		assert.InDelta(t, bounds[i]*float64(time.Millisecond), float64(waits[len(waits)-1]), float64(time.Millisecond)/2, "wait %d", i+1)
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

func TestScheduleOfOutlandishBounds(t *testing.T) {
	for name, test := range map[string]struct{ initial, limit, most time.Duration }{
		"limit below the initial wait": {time.Hour, 1, 1},
		"nothing":                      {0, 0, 1},
		"negative":                     {-5, -3, 1},
		"longest":                      {math.MaxInt64/2 + 1, math.MaxInt64, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSchedule(test.initial, test.limit)
			for range 100 {
				wait := s.Next(0, 0)
				assert.GreaterOrEqual(t, wait, time.Duration(0))
				assert.LessOrEqual(t, wait, test.most)
			}
		})
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const longest = time.Duration(math.MaxInt64)
	tests := map[string]struct {
		header, date string
		want         time.Duration
	}{
		"absent":                       {"", "", 0},
		"seconds":                      {"120", "", 2 * time.Minute},
		"seconds with spaces":          {" 7 ", "", 7 * time.Second},
		"seconds with zeros":           {"007", "", 7 * time.Second},
		"zero":                         {"0", "", 0},
		"negative":                     {"-5", "", 0},
		"sign":                         {"+5", "", 0},
		"fraction":                     {"1.5", "", 1500 * time.Millisecond},
		"fraction without a zero":      {".25", "", 250 * time.Millisecond},
		"two points":                   {"1.5.1", "", 0},
		"a point":                      {".", "", 0},
		"exponent":                     {"1e3", "", 0},
		"infinite":                     {"Inf", "", 0},
		"beyond a Duration":            {"18446744073709551615", "", longest},
		"beyond 64 bits":               {"99999999999999999999", "", longest},
		"beyond a float":               {"1" + string(slices.Repeat([]byte("0"), 400)), "", longest},
		"date":                         {"Fri, 02 Jan 2026 03:05:05 GMT", "", time.Minute},
		"past date":                    {"Fri, 02 Jan 2026 03:03:05 GMT", "", 0},
		"old date form":                {"Friday, 02-Jan-26 03:04:35 GMT", "", 30 * time.Second},
		"date by the answer's clock":   {"Fri, 02 Jan 2026 09:00:10 GMT", "Fri, 02 Jan 2026 09:00:00 GMT", 10 * time.Second},
		"past by the answer's clock":   {"Fri, 02 Jan 2026 08:59:00 GMT", "Fri, 02 Jan 2026 09:00:00 GMT", 0},
		"answer's date not understood": {"Fri, 02 Jan 2026 03:05:05 GMT", "today", time.Minute},
		"seconds need no date":         {"3", "Fri, 02 Jan 2026 09:00:00 GMT", 3 * time.Second},
		"nonsense":                     {"soon", "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Retry-After": {test.header}, "Date": {test.date}}
			assert.Equal(t, test.want, After(header, now))
		})
	}
}
