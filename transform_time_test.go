package kissmetrics_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// TestWhenAMessageHappened: a clock that is broken does not lose the message.
func TestWhenAMessageHappened(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		own, now time.Time
		want     time.Time // zero: it is refused
		adjusted bool
	}{
		"no time":                       {time.Time{}, now, now, false},
		"a time":                        {now.Add(-time.Hour), now, now.Add(-time.Hour), false},
		"the first second":              {time.Unix(1230768000, 0), now, time.Unix(1230768000, 0), false},
		"a second before":               {time.Unix(1230767999, 0), now, now, true},
		"1970":                          {time.Unix(12, 0), now, now, true},
		"a day ahead":                   {now.Add(24 * time.Hour), now, now.Add(24 * time.Hour), false},
		"more than a day ahead":         {now.Add(24*time.Hour + 1), now, now, true},
		"milliseconds for seconds":      {time.Unix(1772442000000, 0), now, now, true},
		"our own clock is broken":       {now, time.Unix(12, 0), now, false},
		"both clocks are broken":        {time.Unix(12, 0), time.Unix(13, 0), time.Time{}, false},
		"no clock at all":               {time.Time{}, time.Time{}, time.Time{}, false},
		"a broken clock and no other":   {time.Unix(12, 0), time.Time{}, time.Time{}, false},
		"a time in another time's zone": {now.In(time.FixedZone("", 7200)), now, now, false},
	} {
		t.Run(name, func(t *testing.T) {
			records, adjustments, err := kissmetrics.Transform(kissmetrics.Page{UserID: "u", Timestamp: test.own}, test.now, kissmetrics.TransformOptions{})
			if test.want.IsZero() {
				requireField(t, "timestamp", err)
			} else {
				require.NoError(t, err)
				assert.Equal(t, test.want.UTC(), records[0].Time)
				assert.Equal(t, test.adjusted, len(adjustments) == 1)
			}

			records, adjustments, err = kissmetrics.Transform(kissmetrics.Alias{UserID: "u", PreviousID: "p", Timestamp: test.own}, test.now, kissmetrics.TransformOptions{Strict: true})
			require.NoError(t, err, "an alias is not refused for a time that is not sent")
			require.NoError(t, records[0].Validate())
			assert.LessOrEqual(t, len(adjustments), 1)
		})
	}
}

// TestTheNextTimeOfAMessage: what the message itself says comes before our clock.
func TestTheNextTimeOfAMessage(t *testing.T) {
	for _, kind := range []string{`"type":"track","event":"e"`, `"type":"alias","previousId":"p"`, `"type":"identify"`, `"type":"page"`, `"type":"group","groupId":"g"`} {
		message, err := kissmetrics.ParseMessage([]byte(`{` + kind + `,"userId":"u","timestamp":"2612-01-01T00:00:00Z","originalTimestamp":"2613-01-01T00:00:00Z","sentAt":"2026-03-02T09:00:00Z"}`))
		require.NoError(t, err)
		records, adjustments, err := kissmetrics.Transform(message, realNow, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		assert.Equal(t, realNow.Add(-time.Hour), records[0].Time)
		assert.Equal(t, []kissmetrics.Adjustment{{Field: "timestamp", Kind: kissmetrics.AdjustedTime}}, adjustments)
	}
}

func TestTheFirstAndTheLastSecond(t *testing.T) {
	for _, when := range []time.Time{time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		records, _, err := kissmetrics.Transform(kissmetrics.Identify{UserID: "u", Timestamp: when}, time.Time{}, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		require.NoError(t, records[0].Validate())
		_, _, err = kissmetrics.Transform(kissmetrics.Identify{UserID: "u", Timestamp: when.Add(time.Second)}, time.Time{}, kissmetrics.TransformOptions{})
		assert.Equal(t, when.Year() == 9999, err != nil)
	}
}

// TestTimesAreWholeSecondsInUTC: records of one moment are equal.
func TestTimesAreWholeSecondsInUTC(t *testing.T) {
	when := second.Add(time.Second - 1).In(time.FixedZone("CET", 3600))
	for _, message := range []kissmetrics.Message{
		kissmetrics.Track{UserID: "u", Event: "e", Timestamp: when}, kissmetrics.Alias{UserID: "u", PreviousID: "p", Timestamp: when},
	} {
		records, _, err := kissmetrics.Transform(message, time.Time{}, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		assert.Equal(t, second, records[0].Time)
	}
}
