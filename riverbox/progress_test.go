package riverbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics"
)

// What is refused on its way is tried for a day and 50 times, counted from its first
// refusal, and from anew if there was another failure in between.
func TestWhatIsRefusedOnItsWayForADayIsRefused(t *testing.T) {
	t.Parallel()
	records := []kissmetrics.Record{{}}
	refused := kissmetrics.Outcome{Undelivered: records, Kind: kissmetrics.FailureRefused}
	unavailable := kissmetrics.Outcome{Undelivered: records, Kind: kissmetrics.FailureUnavailable}
	began := time.Unix(1_700_000_000, 0)
	var p progress
	for _, step := range []struct {
		after   time.Duration
		times   int
		outcome kissmetrics.Outcome
		refused bool // at the last time
	}{
		{0, 1, refused, false},
		{23 * time.Hour, 60, refused, false},
		{23*time.Hour + time.Minute, 1, unavailable, false},
		{25 * time.Hour, 47, refused, false},
		{48 * time.Hour, 1, refused, false},
		{49 * time.Hour, 1, refused, false},
		{49 * time.Hour, 1, refused, true},
	} {
		var got kissmetrics.Outcome
		for range step.times {
			got = p.aged(step.outcome, began.Add(step.after))
		}
		assert.Equal(t, step.refused, len(got.Refused) == 1, "after %v", step.after)
		assert.Equal(t, step.refused, len(got.Undelivered) == 0, "after %v", step.after)
	}
	p = progress{RefusedSince: began.Add(time.Hour), Refusals: triedOften}
	assert.Empty(t, p.aged(refused, began).Refused, "a clock that was put back")
}
