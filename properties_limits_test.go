package kissmetrics_test

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestMaxValueLength(t *testing.T) {
	for _, test := range []struct{ option, given, want int }{
		{0, 513, 512}, {-1, 513, 512}, {10, 11, 10}, {1000, 600, 600}, {1000, 1001, 1000}, {1 << 30, 9000, 8192},
	} {
		got, adjustments, err := transformed(strings.Repeat("é", test.given), kissmetrics.TransformOptions{MaxValueLength: test.option})
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat("é", test.want), got["v"])
		assert.Equal(t, test.want < test.given, len(adjustments) == 1)
	}
}

func TestBooleansAreNotCut(t *testing.T) {
	records, adjustments, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{
		"b": false, "n": -1.5, "t": "false",
	}}, testNow, kissmetrics.TransformOptions{MaxValueLength: 2})
	require.NoError(t, err)
	require.NoError(t, records[0].Validate())
	assert.Equal(t, []kissmetrics.Property{kissmetrics.Bool("b", false), kissmetrics.Number("n", -1), kissmetrics.Text("t", "fa")}, records[0].Properties)
	assert.Len(t, adjustments, 2)
}

// TestNamesThatCannotBeKept: strict mode refuses a message for them.
func TestNamesThatCannotBeKept(t *testing.T) {
	long := strings.Repeat("é", 255)
	tests := map[string]struct {
		properties kissmetrics.Properties
		reason     string // empty: it is sent
	}{
		"blank":                                  {kissmetrics.Properties{" ": 1}, "blank"},
		"empty":                                  {kissmetrics.Properties{"": 1}, "blank"},
		"255 characters":                         {kissmetrics.Properties{long: 1}, ""},
		"256 characters":                         {kissmetrics.Properties{long + "x": 1}, "more than 255 characters"},
		"256 characters once flattened":          {kissmetrics.Properties{long: map[string]any{"x": 1}}, "more than 255 characters"},
		"the same but for case":                  {kissmetrics.Properties{"Plan": "a", "plan": "b"}, "the same name to Kissmetrics"},
		"the same but for the case of É":         {kissmetrics.Properties{"É": 1, "é": 2}, "the same name to Kissmetrics"},
		"the same but for a comma":               {kissmetrics.Properties{"a,b": 1, "a b": 2}, "the same name to Kissmetrics"},
		"the same, of the same value":            {kissmetrics.Properties{"Plan": "a", "plan": "a"}, ""},
		"two ways to one nested name":            {kissmetrics.Properties{"a.b": map[string]any{"c": 1}, "a": map[string]any{"b.c": 2}}, "the same name to Kissmetrics"},
		"two ways to one name, same value":       {kissmetrics.Properties{"a.b": map[string]any{"c": 1}, "a": map[string]any{"b.c": 1}}, ""},
		"a literal name beats two nested":        {kissmetrics.Properties{"a.b.c": 0, "a.b": map[string]any{"c": 1}, "a": map[string]any{"b.c": 2}}, ""},
		"the least nested wins, of elements too": {kissmetrics.Properties{"a": []any{map[string]any{"b": 1}}, "a.0": map[string]any{"b": 2}}, ""},
		"many names, two of them the same":       {manyNames("NAME 7", "name:7"), "the same name to Kissmetrics"},
		"many names, all of them told apart":     {manyNames(), ""},
		"names that the protocol uses":           {kissmetrics.Properties{"_k": 1, "_P": 2, "_n": 3, "_t": 4, "_d": 5, "_p2": 6}, ""},
		"names that begin like the protocol's":   {kissmetrics.Properties{"_key": 1, "_": 2}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 20 { // whatever the order of the map's iteration
				records, _, err := kissmetrics.Transform(kissmetrics.Identify{UserID: "u", Traits: test.properties}, testNow,
					kissmetrics.TransformOptions{Strict: true})
				if test.reason != "" {
					requireField(t, "property", err)
					require.ErrorContains(t, err, test.reason)
					continue
				}
				require.NoError(t, err)
				require.NoError(t, records[0].Validate())
			}
		})
	}
}

// TestProblemsNameWhatIsWrong: an empty name is not mistaken for the products,
// which alone are known by another name than that of their properties.
func TestProblemsNameWhatIsWrong(t *testing.T) {
	for want, properties := range map[string]kissmetrics.Properties{
		`"" is a chan`:           {"": make(chan int)},
		`"" is a struct with`:    {"": hidden{1, 2}},
		`"" is a map`:            {"": map[int]int{1: 2}},
		`".a" is a chan`:         {"": map[string]any{"a": make(chan int)}},
		`"products.0" is a map`:  {"products": []any{map[int]int{1: 2}}},
		`"products" is a struct`: {"products": []any{hidden{1, 2}}},
	} {
		_, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: properties}, testNow, kissmetrics.TransformOptions{Strict: true})
		requireField(t, "property", err)
		assert.ErrorContains(t, err, want)
	}
}

// TestLongNamesAreNotMultiplied: what is refused for its name takes no memory for
// each of its members.
func TestLongNamesAreNotMultiplied(t *testing.T) {
	long, many, list := strings.Repeat("é", 1<<19), manyNames(), make([]any, 100)
	for i := range list {
		list[i] = map[string]any{"a": i}
	}
	tests := map[string]struct {
		message kissmetrics.Track
		field   string
	}{
		"members":  {kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{long: map[string]any(many)}}, "property"},
		"elements": {kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{long: list}}, "property"},
		"prefixes": {kissmetrics.Track{UserID: "u", Event: long, Properties: many}, "event"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			records, _, err := kissmetrics.Transform(test.message, testNow, kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen})
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.NoError(t, records[0].Validate())
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), "bytes")

			_, _, err = kissmetrics.Transform(test.message, testNow, kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen, Strict: true})
			requireField(t, test.field, err)
			assert.ErrorContains(t, err, "more than 255 characters")
		})
	}
}

func manyNames(more ...string) kissmetrics.Properties {
	p := make(kissmetrics.Properties)
	for i := range 100 {
		p[fmt.Sprintf("property number %d", i)] = i
	}
	for i, name := range more {
		p[name] = i
	}
	return p
}

func TestAPropertyNeverOverridesAParameter(t *testing.T) {
	records, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{
		"_K": "evil", "_p2": "evil", "_ip": "1.2.3.4",
	}}, testNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	assert.Equal(t, []kissmetrics.Property{{Name: "_ip", Value: "1.2.3.4"}}, records[0].Properties)
}

func TestProblemsAreBoundedAndJoined(t *testing.T) {
	bad := make(kissmetrics.Properties)
	for i := range 1000 {
		bad[fmt.Sprint("bad ", i)] = math.NaN()
	}
	text := ""
	for range 10 {
		_, _, err := kissmetrics.Transform(kissmetrics.Track{Properties: bad}, time.Time{}, kissmetrics.TransformOptions{Strict: true})
		joined, ok := err.(interface{ Unwrap() []error })
		require.True(t, ok)
		require.Len(t, joined.Unwrap(), 16)
		require.Equal(t, cmp.Or(text, err.Error()), err.Error(), "whatever the order of the map's iteration")
		text = err.Error()
	}

	_, _, err := kissmetrics.Transform(kissmetrics.Track{}, time.Time{}, kissmetrics.TransformOptions{})
	for _, field := range []string{"identity", "event", "timestamp"} {
		assert.ErrorContains(t, err, "kissmetrics: invalid "+field+": is missing")
	}
}
