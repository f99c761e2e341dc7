package tally

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheLogIsToldAtOnceThenOnceAnIntervalAndAtTheEnd(t *testing.T) {
	type step struct {
		after time.Duration
		n     int
		last  bool
		total int // zero where nothing is told
	}
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, steps := range map[string][]step{
		"nothing":                        {{0, 0, false, 0}, {time.Hour, 0, false, 0}, {2 * time.Hour, 0, true, 0}},
		"the first at once":              {{0, 3, false, 3}},
		"those within an interval later": {{0, 1, false, 1}, {1, 2, false, 0}, {Interval - 1, 3, false, 0}, {Interval, 4, false, 9}},
		"the interval begins when told":  {{0, 1, false, 1}, {Interval, 1, false, 1}, {2*Interval - 1, 1, false, 0}, {2 * Interval, 1, false, 2}},
		"a clock that was set back":      {{time.Hour, 1, false, 1}, {0, 2, false, 2}, {1, 3, false, 0}, {Interval, 4, false, 7}},
		"the rest at the end":            {{0, 1, false, 1}, {1, 2, false, 0}, {2, 0, true, 2}, {3, 0, true, 0}},
		"nothing new is no reason":       {{0, 1, false, 1}, {Interval, 0, false, 0}, {Interval + 1, 5, false, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			var tally Tally
			for i, s := range steps {
				var total int
				var tell bool
				if s.last {
					total, _, tell = tally.Rest(begin.Add(s.after))
				} else {
					total, _, tell = tally.Add(begin.Add(s.after), s.n, "reason")
				}
				assert.Equal(t, s.total > 0, tell, "step %d", i)
				assert.Equal(t, s.total, total, "step %d", i)
			}
		})
	}
}

func TestTheLatestReasonIsTold(t *testing.T) {
	var tally Tally
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	_, reason, _ := tally.Add(begin, 1, "one")
	assert.Equal(t, "one", reason)
	_, _, _ = tally.Add(begin, 1, "two")
	_, _, _ = tally.Add(begin, 0, "nothing happened for this one")
	_, reason, _ = tally.Rest(begin)
	assert.Equal(t, "two", reason)
}
