package kmq_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

// What cannot be as it is given is adjusted, and told.
func TestCommandsAdjust(t *testing.T) {
	type P = kissmetrics.Properties
	long := strings.Repeat("x", 256)
	early := time.Unix(1, 0)
	bought := P{"products": []P{{"sku": 1}}}
	for name, test := range map[string]struct {
		message kissmetrics.Message
		options kmq.Options
		want    string
		told    kissmetrics.Adjustment
	}{
		"an identity that many share": {
			kissmetrics.Identify{UserID: "Guest", Traits: P{"plan": "pro"}}, kmq.Options{}, `[["set",{"plan":"pro"}]]`,
			kissmetrics.Adjustment{Field: "userId", Kind: kissmetrics.AdjustedIdentity},
		},
		"an identity too long": {
			kissmetrics.Identify{UserID: long}, kmq.Options{}, `null`,
			kissmetrics.Adjustment{Field: "userId", Kind: kissmetrics.AdjustedIdentity},
		},
		"a name too long": {
			kissmetrics.Track{Event: long}, kmq.Options{}, `[["record","` + long[:255] + `"]]`,
			kissmetrics.Adjustment{Field: "event", Kind: kissmetrics.AdjustedNameCut},
		},
		"a value that is none": {
			kissmetrics.Track{Event: "E", Properties: P{"f": math.NaN(), "g": 1}}, kmq.Options{}, `[["record","E",{"g":1}]]`,
			kissmetrics.Adjustment{Field: "property", Property: "f", Kind: kissmetrics.AdjustedValueDropped},
		},
		"an impossible time is the browser's": {
			kissmetrics.Track{Event: "E", Timestamp: early}, kmq.Options{}, `[["record","E"]]`,
			kissmetrics.Adjustment{Field: "timestamp", Kind: kissmetrics.AdjustedTime},
		},
		"an impossible time is the browser's, whatever Now is": {
			kissmetrics.Track{Event: "E", Timestamp: early}, kmq.Options{Now: noon}, `[["record","E"]]`,
			kissmetrics.Adjustment{Field: "timestamp", Kind: kissmetrics.AdjustedTime},
		},
		"an impossible time of products is Now": {
			kissmetrics.Track{Event: "E", Timestamp: early, Properties: bought}, kmq.Options{Now: noon},
			`[["record","E",{"_t":1772452800,"_d":1}],["set",{"sku":1,"_t":1772452801,"_d":1}]]`,
			kissmetrics.Adjustment{Field: "timestamp", Kind: kissmetrics.AdjustedTime},
		},
	} {
		t.Run(name, func(t *testing.T) {
			commands, told, err := kmq.Commands(test.message, test.options)
			require.NoError(t, err)
			assert.Equal(t, decode(t, test.want), decode(t, asJSON(t, commands)))
			assert.Equal(t, []kissmetrics.Adjustment{test.told}, told)

			test.options.Strict = true
			_, _, err = kmq.Commands(test.message, test.options)
			var wrong *kissmetrics.ValidationError
			require.ErrorAs(t, err, &wrong)
		})
	}
}

// The identities that a page does not use cannot spoil a message.
func TestUnusedIdentities(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, message := range []kissmetrics.Message{
		kissmetrics.Page{UserID: long, AnonymousID: "null"}, kissmetrics.Screen{UserID: "guest"},
		kissmetrics.Track{Event: "E", UserID: long}, kissmetrics.Group{GroupID: "g", AnonymousID: long},
		kissmetrics.Identify{UserID: "u", AnonymousID: "guest"},
	} {
		commands, told, err := kmq.Commands(message, kmq.Options{Strict: true})
		require.NoError(t, err)
		assert.Len(t, commands, 1)
		assert.Empty(t, told)
	}
}

// A message that was parsed keeps the later time that its Timestamp stands in
// for, and one ahead of Now keeps its own.
func TestOwnTimeStays(t *testing.T) {
	parsed, err := kissmetrics.ParseMessage([]byte(`{"type":"track","event":"E","userId":"u","timestamp":"1970-01-01T00:00:01Z","originalTimestamp":"2026-03-02T12:00:00Z"}`))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		message kissmetrics.Message
		now     time.Time
	}{
		"another of the message":    {message: parsed},
		"ahead of any clock":        {message: kissmetrics.Track{Event: "E", Timestamp: noon}},
		"of the present second":     {kissmetrics.Track{Event: "E", Timestamp: noon}, noon},
		"whatever the clock says":   {kissmetrics.Track{Event: "E", Timestamp: noon}, time.Unix(1, 0)},
		"of the same second as Now": {kissmetrics.Track{Event: "E", Timestamp: noon.Add(1)}, noon.Add(time.Second - 1)},
	} {
		commands, _, err := kmq.Commands(test.message, kmq.Options{Now: test.now})
		require.NoError(t, err, name)
		assert.JSONEq(t, `[["record","E",{"_t":1772452800,"_d":1}]]`, asJSON(t, commands), name)
	}
}

// A program whose clock is broken still has its page counted; only an event with
// products needs the clock.
func TestBrokenClockOfTheProgram(t *testing.T) {
	options := kmq.Options{Now: time.Unix(1, 0)}
	commands, told, err := kmq.Commands(kissmetrics.Track{Event: "E"}, options)
	require.NoError(t, err)
	assert.Empty(t, told)
	assert.JSONEq(t, `[["record","E"]]`, asJSON(t, commands))

	_, _, err = kmq.Commands(kissmetrics.Track{Event: "E", Properties: kissmetrics.Properties{"products": []any{map[string]any{"sku": 1}}}}, options)
	var wrong *kissmetrics.ValidationError
	require.ErrorAs(t, err, &wrong)
	assert.Equal(t, "timestamp", wrong.Field)
}

// What a command adds to the URL of its picture has a bound, and a byte less
// than that is fine.
func TestCommandsHaveABound(t *testing.T) {
	const bound = 7000
	properties := func(length int) kissmetrics.Properties {
		p := kissmetrics.Properties{}
		length -= len("E")
		for n := 0; length > 0; n++ {
			name := fmt.Sprintf("p%02d", n)
			size := min(500, length-len("&=")-len(name))
			if left := length - len("&=") - len(name) - size; left > 0 && left < 20 {
				size -= 20
			}
			p[name] = strings.Repeat("x", size)
			length -= len("&=") + len(name) + size
		}
		return p
	}
	_, _, err := kmq.Commands(kissmetrics.Track{Event: "E", Properties: properties(bound)}, kmq.Options{})
	require.NoError(t, err)

	escaped := func(text string, size int) kissmetrics.Properties { // of 8 × 300 characters
		p := kissmetrics.Properties{}
		for n := range 8 {
			p[fmt.Sprint(n)] = strings.Repeat(text, 300/size)
		}
		return p
	}
	for name, message := range map[string]kissmetrics.Message{
		"a byte more":          kissmetrics.Track{Event: "E", Properties: properties(bound + 1)},
		"letters beyond ASCII": kissmetrics.Track{Event: "E", Properties: escaped("€", 1)},
		"spaces":               kissmetrics.Track{Event: "E", Properties: escaped(" ", 1)},
		"what a query escapes and a path does not": kissmetrics.Track{Event: "E", Properties: escaped("&+=@", 4)},
		"traits": kissmetrics.Identify{UserID: "u", Traits: properties(bound + 2)}, // no event
		"products": kissmetrics.Track{
			Event: "E", Timestamp: noon, Properties: kissmetrics.Properties{"products": []kissmetrics.Properties{properties(bound + 2)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			commands, _, err := kmq.Commands(message, kmq.Options{})
			var wrong *kissmetrics.ValidationError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, "property", wrong.Field)
			assert.Nil(t, commands)
		})
	}
	var list []kissmetrics.Property
	for n := range 20 {
		list = append(list, kissmetrics.Property{Name: fmt.Sprintf("p%02d", n), Value: strings.Repeat("x", 500)})
	}
	for _, kind := range []kmq.Kind{kmq.KindSet, kmq.KindRecord, kmq.KindTrackClick} {
		require.Error(t, kmq.Command{Kind: kind, Event: "E", Element: "a", Properties: list}.Validate(), kind)
	}
}
