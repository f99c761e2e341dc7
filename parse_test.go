package kissmetrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestParseMessage(t *testing.T) {
	const at = `"timestamp":"2020-01-24T06:29:02Z"`
	tests := map[string]struct {
		json string
		want kissmetrics.Message
	}{
		"identify":                    {`{"type":"IDENTIFY","userId":7,"anonymousId":"a","traits":{"x":"1"},` + at + `}`, kissmetrics.Identify{UserID: "7", AnonymousID: "a", Traits: kissmetrics.Properties{"x": "1"}, Timestamp: second}},
		"identify of a device":        {`{"type":"identify","userId":"u","traits":{},"context":{"traits":{"x":"1"},"ip":"1.2.3.4"},` + at + `}`, kissmetrics.Identify{UserID: "u", Traits: kissmetrics.Properties{"x": "1"}, Timestamp: second}},
		"a context that is no object": {`{"type":"identify","userId":"u","context":"x",` + at + `}`, kissmetrics.Identify{UserID: "u", Timestamp: second}},
		"page":                        {`{"type":"page","userId":"u","name":"n","category":"c","properties":{"x":"1"},` + at + `}`, kissmetrics.Page{UserID: "u", Name: "n", Category: "c", Properties: kissmetrics.Properties{"x": "1"}, Timestamp: second}},
		"screen":                      {`{"type":"screen","userId":"u","name":"n",` + at + `}`, kissmetrics.Screen{UserID: "u", Name: "n", Timestamp: second}},
		"group":                       {`{"type":"group","userId":"u","groupId":1e2,"traits":{"x":"1"},` + at + `}`, kissmetrics.Group{UserID: "u", GroupID: "100", Traits: kissmetrics.Properties{"x": "1"}, Timestamp: second}},
		"alias":                       {`{"type":"alias","userId":"u","previousId":"p",` + at + `}`, kissmetrics.Alias{UserID: "u", PreviousID: "p", Timestamp: second}},
		"null is absent":              {`{"type":"track","userId":null,"anonymousId":"a","event":"e","properties":null,"timestamp":null,"originalTimestamp":"2020-01-24T06:29:02Z"}`, kissmetrics.Track{AnonymousID: "a", Event: "e", Timestamp: second}},
		"an empty time is absent":     {`{"type":"track","userId":"u","event":"e","timestamp":"","originalTimestamp":"2020-01-24T06:29:02Z"}`, kissmetrics.Track{UserID: "u", Event: "e", Timestamp: second}},
		"no time":                     {`{"type":"track","userId":"u","event":"e","timestamp":""}`, kissmetrics.Track{UserID: "u", Event: "e"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := kissmetrics.ParseMessage([]byte(test.json))
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestParseTimes(t *testing.T) {
	for _, when := range []string{
		`"2020-01-24T06:29:02Z"`, `"2020-01-24T07:29:02.358123+01:00"`, `"2020-01-24T07:29:02+0100"`, `"2020-01-24T06:29:02"`,
		`"2020-01-24 06:29:02.358 UTC"`, `"2020/01/24 06:29:02"`, `"20200124T062902Z"`, `"2020-01-23 22:29:02 PST"`,
		`"Fri, 24 Jan 2020 06:29:02 GMT"`, `"Fri Jan 24 2020 06:29:02 GMT+0000 (Coordinated Universal Time)"`, `"January 24, 2020 6:29:02 AM"`,
		`1579847342`, `1579847342.5`, `1579847342358`, `1579847342358123`, `1.579847342e9`, `"1579847342"`, `"1579847342358"`,
	} {
		message, err := kissmetrics.ParseMessage([]byte(`{"type":"track","timestamp":` + when + `}`))
		require.NoError(t, err, when)
		assert.Equal(t, second, message.(kissmetrics.Track).Timestamp.Truncate(time.Second), when)
	}
	for _, when := range []string{
		`"soon"`, `"24/01/2020"`, `"2020-01-24 06:29:02 CST6"`, `"2020-01-24 06:29:02 IST"`, `"10:22:00 PM"`, `"2020-02-30"`,
		`"1970-01-01T00:00:12Z"`, `"0008-03-02T09:00:00Z"`, `{}`, `[]`, `true`, `-5`, `0`, `1e300`, `1e99999`,
	} {
		message, err := kissmetrics.ParseMessage([]byte(`{"type":"track","timestamp":` + when + `,"originalTimestamp":"2020-01-24T06:29:02Z"}`))
		require.NoError(t, err, when)
		assert.Equal(t, second, message.(kissmetrics.Track).Timestamp, "the next one counts for %s", when)
		message, err = kissmetrics.ParseMessage([]byte(`{"type":"track","timestamp":` + when + `}`))
		require.NoError(t, err, when)
		assert.Zero(t, message.(kissmetrics.Track).Timestamp, when)
	}
}

func TestMessagesThatCannotBeParsed(t *testing.T) {
	tests := map[string]struct{ json, field string }{
		"nothing":              {``, "message"},
		"cut off":              {`{"type":"track"`, "message"},
		"nonsense":             {`{"type"=1}`, "message"},
		"two messages":         {`{"type":"track"}{"type":"track"}`, "message"},
		"something behind":     {`{"type":"track"} x`, "message"},
		"a list":               {`[{"type":"track"}]`, "message"},
		"a text":               {`"track"`, "message"},
		"null":                 {`null`, "message"},
		"100,000 levels":       {`{"type":"track","properties":` + strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_001), "message"},
		"no type":              {`{"userId":"u"}`, "type"},
		"a type that is empty": {`{"type":""}`, "type"},
		"a type that is none":  {`{"type":"merge"}`, "type"},
		"a type of no text":    {`{"type":[]}`, "type"},
		"a type that is long":  {`{"type":"` + strings.Repeat("x", 1000) + `"}`, "type"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			message, err := kissmetrics.ParseMessage([]byte(test.json))
			requireField(t, test.field, err)
			assert.Nil(t, message)
		})
	}
}

func TestExcluded(t *testing.T) {
	for data, want := range map[string]bool{
		`{"type":"track","userId":"u","event":"e"}`:                                      false,
		`{"type":"track","integrations":{"All":true}}`:                                   false,
		`{"type":"track","integrations":{"All":false}}`:                                  true,
		`{"type":"track","integrations":{"All":"false","Kiss Metrics":{"x":1}}}`:         false,
		`{"type":"track","integrations":{"All":true,"Kiss Metrics":false}}`:              true,
		`{"type":"track","integrations":{"All":true,"Mixpanel":false}}`:                  false,
		`{"type":"track","properties":{"x":NaN},"integrations":{"KISSmetrics":"FALSE"}}`: true,
		`not a message`: false,
	} {
		assert.Equal(t, want, kissmetrics.Excluded([]byte(data)), data)
	}
}
