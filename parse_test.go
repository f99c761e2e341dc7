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
		`"2020-01-24T06:29:02Z"`, `"2020-01-24T06:29:02.358Z"`, `"2020-01-24T07:29:02.358123+01:00"`, `"2020-01-24T07:29:02+0100"`,
		`"2020-01-24T06:29:02"`, `"2020-01-24 06:29:02"`, `"2020-01-24 06:29:02.358 UTC"`, `"2020-01-24 07:29:02.358+01:00"`,
		`1579847342`, `1579847342.5`, `1579847342358`,
	} {
		message, err := kissmetrics.ParseMessage([]byte(`{"type":"track","timestamp":` + when + `}`))
		require.NoError(t, err, when)
		assert.Equal(t, second, message.(kissmetrics.Track).Timestamp.UTC().Truncate(time.Second), when)
	}
	for _, when := range []string{`"soon"`, `"24/01/2020"`, `"2020-01-24 06:29:02 PST"`, `{}`, `true`, `-5`, `0`, `1e300`, `1e99999`} {
		_, err := kissmetrics.ParseMessage([]byte(`{"type":"track","timestamp":` + when + `}`))
		requireField(t, "timestamp", err)
	}
}

func TestMessagesThatCannotBeParsed(t *testing.T) {
	tests := map[string]struct{ json, field string }{
		"nothing":                  {``, "message"},
		"cut off":                  {`{"type":"track"`, "message"},
		"nonsense":                 {`{"type"=1}`, "message"},
		"two messages":             {`{"type":"track"}{"type":"track"}`, "message"},
		"something behind":         {`{"type":"track"} x`, "message"},
		"a list":                   {`[{"type":"track"}]`, "message"},
		"a text":                   {`"track"`, "message"},
		"null":                     {`null`, "type"},
		"100,000 levels":           {`{"type":"track","properties":` + strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_001), "message"},
		"a type of no text":        {`{"type":[]}`, "type"},
		"a type that is long":      {`{"type":"` + strings.Repeat("x", 1000) + `"}`, "type"},
		"properties of no object":  {`{"type":"track","properties":[1]}`, "property"},
		"traits of no object":      {`{"type":"identify","traits":"x"}`, "property"},
		"a context's traits":       {`{"type":"identify","context":{"traits":[1]}}`, "property"},
		"a userId of no text":      {`{"type":"track","userId":{}}`, "userId"},
		"an anonymousId of a bool": {`{"type":"track","anonymousId":true}`, "anonymousId"},
		"a number beyond measure":  {`{"type":"track","userId":1e999999}`, "userId"},
		"an event of no text":      {`{"type":"track","event":{}}`, "event"},
		"a groupId of no text":     {`{"type":"group","groupId":[]}`, "groupId"},
		"a previousId of no text":  {`{"type":"alias","previousId":[]}`, "previousId"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			message, err := kissmetrics.ParseMessage([]byte(test.json))
			requireField(t, test.field, err)
			assert.Nil(t, message)
		})
	}
}
