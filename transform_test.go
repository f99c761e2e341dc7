package kissmetrics_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// lines returns the records of a message as text: path, person, name, second
// after testNow, properties.
func lines(t testing.TB, message kissmetrics.Message, options kissmetrics.TransformOptions) []string {
	t.Helper()
	records, _, err := kissmetrics.Transform(message, testNow, options)
	require.NoError(t, err)
	var all []string
	for _, r := range records {
		require.NoError(t, r.Validate())
		words := []string{r.Kind.Path(), r.Person, r.Name, r.Time.Sub(testNow.Truncate(time.Second)).String()}
		for _, p := range r.Properties {
			words = append(words, p.Name+"="+p.Value)
		}
		all = append(all, strings.Join(words, "|"))
	}
	return all
}

func TestPrefixStyles(t *testing.T) {
	properties := kissmetrics.Properties{
		"label": "x", "revenue": "$1,000.50", "nested": map[string]any{"a": 1}, "billing amount": nil,
		"products": []any{map[string]any{"sku": "a", "revenue": "5"}},
	}
	track := kissmetrics.Track{UserID: "u", Event: "Bought", Properties: properties}
	page := kissmetrics.Page{UserID: "u", Name: "home", Properties: kissmetrics.Properties{"path": "/", "revenue": 2}}
	screen := kissmetrics.Screen{UserID: "u", Name: "home", Properties: kissmetrics.Properties{"path": "/", "revenue": 2}}
	identify := kissmetrics.Identify{UserID: "u", Traits: kissmetrics.Properties{"revenue": 5}}
	tests := map[string]struct {
		style   kissmetrics.PrefixStyle
		message kissmetrics.Message
		want    []string
	}{
		"none, track": {kissmetrics.PrefixNone, track, []string{
			"/e|u|Bought|0s|Billing Amount=1000.5|label=x|nested.a=1|revenue=1000.5", "/s|u||1s|revenue=5|sku=a",
		}},
		"cloud mode, track": {kissmetrics.PrefixHyphen, track, []string{
			"/e|u|Bought|0s|Billing Amount=1000.5|Bought - revenue=1000.5|Bought-label=x|Bought-nested.a=1",
			"/s|u||1s|Bought - revenue=5|Bought-sku=a",
		}},
		"device mode, track": {kissmetrics.PrefixSpacedHyphen, track, []string{
			"/e|u|Bought|0s|Billing Amount=1000.5|Bought - label=x|Bought - nested.a=1|Bought - revenue=1000.5",
			"/s|u||1s|Bought - revenue=5|Bought - sku=a",
		}},
		"none, page":          {kissmetrics.PrefixNone, page, []string{"/e|u|Viewed home page|0s|Billing Amount=2|path=/|revenue=2"}},
		"cloud mode, page":    {kissmetrics.PrefixHyphen, page, []string{"/e|u|Viewed home page|0s|Billing Amount=2|Page - revenue=2|Page-path=/"}},
		"device mode, page":   {kissmetrics.PrefixSpacedHyphen, page, []string{"/e|u|Viewed home page|0s|Billing Amount=2|Page - path=/|Page - revenue=2"}},
		"a screen never":      {kissmetrics.PrefixHyphen, screen, []string{"/e|u|Viewed home screen|0s|Billing Amount=2|path=/|revenue=2"}},
		"an identify never":   {kissmetrics.PrefixHyphen, identify, []string{"/s|u||0s|revenue=5"}},
		"a group always":      {kissmetrics.PrefixNone, kissmetrics.Group{UserID: "u", GroupID: "g", Traits: kissmetrics.Properties{"id": "lost", "a": 1}}, []string{"/s|u||0s|Group - a=1|Group - id=g"}},
		"not Billing Amount":  {kissmetrics.PrefixHyphen, kissmetrics.Track{UserID: "u", Event: "A very long name of an event", Properties: kissmetrics.Properties{"BILLING amount": 3, "revenue": 4}}, []string{"/e|u|A very long name of an event|0s|A very long name of an event - revenue=4|BILLING amount=3"}},
		"a reserved name too": {kissmetrics.PrefixHyphen, kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"_k": 1}}, []string{"/e|u|e|0s|e-_k=1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, lines(t, test.message, kissmetrics.TransformOptions{Prefix: test.style}))
		})
	}
}

// TestLongPrefixes: a name that is too long only with its prefix keeps what tells
// it apart.
func TestLongPrefixes(t *testing.T) {
	prefixed := kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen}
	long := kissmetrics.Track{UserID: "u", Event: strings.Repeat("é", 250), Properties: kissmetrics.Properties{"label": 1, "level": 2}}
	records, adjustments, err := kissmetrics.Transform(long, testNow, prefixed)
	require.NoError(t, err)
	assert.Equal(t, []kissmetrics.Property{
		{Name: strings.Repeat("é", 249) + "-label", Value: "1", Literal: true}, {Name: strings.Repeat("é", 249) + "-level", Value: "2", Literal: true},
	}, records[0].Properties)
	assert.Equal(t, []kissmetrics.Adjustment{
		{Field: "property", Property: "label", Kind: kissmetrics.AdjustedNameCut}, {Field: "property", Property: "level", Kind: kissmetrics.AdjustedNameCut},
	}, adjustments)
	long.Properties = kissmetrics.Properties{strings.Repeat("n", 300): 1}
	records, _, err = kissmetrics.Transform(long, testNow, prefixed)
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("n", 255), records[0].Properties[0].Name, "there is no room for a prefix")

	prefixed.Strict = true
	_, _, err = kissmetrics.Transform(long, testNow, prefixed)
	requireField(t, "property", err)
}

func TestAliasOnIdentify(t *testing.T) {
	on := kissmetrics.TransformOptions{AliasOnIdentify: true}
	both := kissmetrics.Identify{UserID: "u", AnonymousID: "a", Traits: kissmetrics.Properties{"x": 1}}
	assert.Equal(t, []string{"/s|u||0s|x=1"}, lines(t, both, kissmetrics.TransformOptions{}))
	assert.Equal(t, []string{"/a|a|u|0s", "/s|u||0s|x=1"}, lines(t, both, on))
	for name, test := range map[string]struct {
		userID, anonymousID string
		person, adjusted    string
	}{
		"a user alone":                     {"u", "", "u", ""},
		"a visitor alone":                  {"", "a", "a", ""},
		"one identity twice":               {"u", "u", "u", ""},
		"one identity but for case":        {"Bob@x.com", "bob@X.com", "Bob@x.com", ""},
		"one identity but for blanks":      {"u", " u\u00a0", "u", ""},
		"a visitor whom many share":        {"u", "undefined", "u", "anonymousId"},
		"a visitor who cannot be kept":     {"u", "\xff", "u", "anonymousId"},
		"a visitor of too many characters": {"u", strings.Repeat("a", 256), "u", "anonymousId"},
		"a user whom many share":           {"guest", "a", "a", "userId"},
	} {
		t.Run(name, func(t *testing.T) {
			message := kissmetrics.Identify{UserID: test.userID, AnonymousID: test.anonymousID}
			records, adjustments, err := kissmetrics.Transform(message, testNow, on)
			require.NoError(t, err)
			require.Len(t, records, 1, "no alias")
			assert.Equal(t, test.person, records[0].Person)
			strict := on
			strict.Strict = true
			_, _, err = kissmetrics.Transform(message, testNow, strict)
			if test.adjusted == "" {
				assert.Empty(t, adjustments)
				assert.NoError(t, err)
				return
			}
			assert.Equal(t, []kissmetrics.Adjustment{{Field: test.adjusted, Kind: kissmetrics.AdjustedIdentity}}, adjustments)
			requireField(t, test.adjusted, err)
		})
	}
}

// TestWhomAMessageIsAbout: an identity that is not one person's gives way to the
// other, and a message without any other is refused.
func TestWhomAMessageIsAbout(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, test := range map[string]struct {
		userID, anonymousID string
		person, adjusted    string // no person: it is refused
	}{
		"a user":                          {"u", "a", "u", ""},
		"a user beside anything":          {"u", "\xff", "u", ""},
		"a visitor":                       {" ", "a", "a", ""},
		"nobody":                          {" ", "\u00a0", "", ""},
		"a user whom many share":          {"null", "a", "a", "userId"},
		"the number zero":                 {"0", "a", "a", "userId"},
		"a user whom many share, alone":   {"[object Object]", "", "", ""},
		"a visitor whom many share":       {"", "guest", "", ""},
		"two whom many share":             {"undefined", "'null'", "", ""},
		"a user of too many characters":   {long, "a", "a", "userId"},
		"such a user alone":               {long, "", "", ""},
		"a user that is not UTF-8":        {"a\xff", "a", "a", "userId"},
		"such a user alone, not UTF-8":    {"a\xff", "", "", ""},
		"blanks around a user":            {" u1\u00a0", "", "u1", "userId"},
		"blanks around a visitor":         {"", "\ta1", "a1", "anonymousId"},
		"blanks around what fits without": {long[1:] + " ", "", long[1:], "userId"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, message := range []kissmetrics.Message{
				kissmetrics.Identify{UserID: test.userID, AnonymousID: test.anonymousID},
				kissmetrics.Page{UserID: test.userID, AnonymousID: test.anonymousID},
				kissmetrics.Screen{UserID: test.userID, AnonymousID: test.anonymousID},
				kissmetrics.Track{UserID: test.userID, AnonymousID: test.anonymousID, Event: "e"},
				kissmetrics.Group{UserID: test.userID, AnonymousID: test.anonymousID, GroupID: "g"},
			} {
				records, adjustments, err := kissmetrics.Transform(message, testNow, kissmetrics.TransformOptions{})
				if test.person == "" {
					requireField(t, "identity", err)
					assert.Empty(t, adjustments)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, test.person, records[0].Person)
				require.NoError(t, records[0].Validate())
				if test.adjusted == "" {
					assert.Empty(t, adjustments)
				} else {
					assert.Equal(t, []kissmetrics.Adjustment{{Field: test.adjusted, Kind: kissmetrics.AdjustedIdentity}}, adjustments)
				}
			}
		})
	}
}

func TestPageNames(t *testing.T) {
	tests := map[string]struct {
		message kissmetrics.Message
		want    string
	}{
		"no name":                     {kissmetrics.Page{UserID: "u", Category: "c"}, "/e|u|Loaded a Page|0s"},
		"a blank name":                {kissmetrics.Page{UserID: "u", Name: " "}, "/e|u|Loaded a Page|0s"},
		"a name":                      {kissmetrics.Page{UserID: "u", Name: "n"}, "/e|u|Viewed n page|0s"},
		"a category":                  {kissmetrics.Page{UserID: "u", Name: "n", Category: "c"}, "/e|u|Viewed c n page|0s"},
		"a category of properties":    {kissmetrics.Page{UserID: "u", Name: "n", Category: "c", Properties: kissmetrics.Properties{"category": 5}}, "/e|u|Viewed 5 n page|0s|category=5"},
		"an empty one of properties":  {kissmetrics.Page{UserID: "u", Name: "n", Category: "c", Properties: kissmetrics.Properties{"category": ""}}, "/e|u|Viewed c n page|0s|category="},
		"a category of false":         {kissmetrics.Page{UserID: "u", Name: "n", Category: "c", Properties: kissmetrics.Properties{"category": false}}, "/e|u|Viewed c n page|0s|category=false"},
		"a category of zero":          {kissmetrics.Page{UserID: "u", Name: "n", Properties: kissmetrics.Properties{"category": 0.0}}, "/e|u|Viewed n page|0s|category=0"},
		"a category of the text 0":    {kissmetrics.Page{UserID: "u", Name: "n", Properties: kissmetrics.Properties{"category": "0"}}, "/e|u|Viewed 0 n page|0s|category=0"},
		"no products of a page":       {kissmetrics.Page{UserID: "u", Properties: kissmetrics.Properties{"products": []any{}}}, "/e|u|Loaded a Page|0s"},
		"no products of a screen":     {kissmetrics.Screen{UserID: "u", Properties: kissmetrics.Properties{"products": []int{}}}, "/e|u|Loaded a Screen|0s"},
		"a screen without a name":     {kissmetrics.Screen{UserID: "u"}, "/e|u|Loaded a Screen|0s"},
		"a screen and its category":   {kissmetrics.Screen{UserID: "u", Name: "n", Category: "c"}, "/e|u|Viewed c n screen|0s"},
		"products of a page are kept": {kissmetrics.Page{UserID: "u", Properties: kissmetrics.Properties{"products": []any{map[string]any{"id": 1}}}}, "/e|u|Loaded a Page|0s|products.0.id=1"},
		"invalid UTF-8 in a name":     {kissmetrics.Page{UserID: "u", Name: "\xff"}, "/e|u|Viewed \uFFFD page|0s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, []string{test.want}, lines(t, test.message, kissmetrics.TransformOptions{}))
		})
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	type outside struct{ kissmetrics.Track }
	tests := map[string]struct {
		message kissmetrics.Message
		field   string
	}{
		"nil":                          {nil, "type"},
		"nil pointer":                  {(*kissmetrics.Track)(nil), "type"},
		"a type that embeds a message": {outside{kissmetrics.Track{UserID: "u", Event: "e"}}, "type"},
		"a pointer to such a type":     {&outside{kissmetrics.Track{UserID: "u", Event: "e"}}, "type"},
		"blank identities":             {kissmetrics.Page{UserID: " ", AnonymousID: "\t"}, "identity"},
		"long identity":                {kissmetrics.Page{UserID: strings.Repeat("x", 256)}, "identity"},
		"identity that is not UTF-8":   {kissmetrics.Page{UserID: "a\xff"}, "identity"},
		"blank event":                  {kissmetrics.Track{UserID: "u", Event: "\n"}, "event"},
		"group without an id":          {kissmetrics.Group{UserID: "u"}, "groupId"},
		"group without a person":       {kissmetrics.Group{GroupID: "g"}, "identity"},
		"alias of a shared identity":   {kissmetrics.Alias{UserID: "u", PreviousID: " NULL "}, "previousId"},
		"alias to a shared identity":   {kissmetrics.Alias{UserID: "00000000-0000-0000-0000-000000000000", PreviousID: "p"}, "userId"},
		"alias but for case":           {kissmetrics.Alias{UserID: "Bob@x.com", PreviousID: "bob@x.com"}, "previousId"},
		"alias but for blanks":         {kissmetrics.Alias{UserID: "u1", PreviousID: " u1"}, "previousId"},
		"alias of too many characters": {kissmetrics.Alias{UserID: "u1", PreviousID: strings.Repeat("x", 256)}, "previousId"},
		"alias of what is not UTF-8":   {kissmetrics.Alias{UserID: "u", PreviousID: "\xff"}, "previousId"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, strict := range []bool{false, true} {
				records, adjustments, err := kissmetrics.Transform(test.message, testNow, kissmetrics.TransformOptions{Strict: strict})
				requireField(t, test.field, err)
				assert.Empty(t, records)
				assert.Empty(t, adjustments)
			}
		})
	}
}

// TestMessagesThatOnlyStrictModeRefuses: what can be adjusted is, by default.
func TestMessagesThatOnlyStrictModeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		message kissmetrics.Message
		field   string
		kind    kissmetrics.AdjustmentKind
	}{
		"long event":                     {kissmetrics.Track{UserID: "u", Event: strings.Repeat("x", 256)}, "event", kissmetrics.AdjustedNameCut},
		"long event behind blanks":       {kissmetrics.Track{UserID: "u", Event: strings.Repeat(" ", 300) + "x"}, "event", kissmetrics.AdjustedNameCut},
		"long page name":                 {kissmetrics.Page{UserID: "u", Name: strings.Repeat("x", 250)}, "event", kissmetrics.AdjustedNameCut},
		"before 2009":                    {kissmetrics.Identify{UserID: "u", Timestamp: time.Date(2008, 12, 31, 23, 59, 59, 1e9-1, time.UTC)}, "timestamp", kissmetrics.AdjustedTime},
		"milliseconds taken for seconds": {kissmetrics.Identify{UserID: "u", Timestamp: time.Unix(1579847342358, 0)}, "timestamp", kissmetrics.AdjustedTime},
		"products beyond the year 9999":  {kissmetrics.Track{UserID: "u", Event: "e", Timestamp: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Properties: kissmetrics.Properties{"products": []any{map[string]any{"a": 1}}}}, "timestamp", kissmetrics.AdjustedTime},
		"a userId whom many share":       {kissmetrics.Page{UserID: "null", AnonymousID: "a"}, "userId", kissmetrics.AdjustedIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			records, adjustments, err := kissmetrics.Transform(test.message, testNow, kissmetrics.TransformOptions{})
			require.NoError(t, err)
			require.NoError(t, records[0].Validate())
			assert.Equal(t, []kissmetrics.Adjustment{{Field: test.field, Kind: test.kind}}, adjustments)
			records, adjustments, err = kissmetrics.Transform(test.message, testNow, kissmetrics.TransformOptions{Strict: true})
			requireField(t, test.field, err)
			assert.Empty(t, records)
			assert.Empty(t, adjustments)
		})
	}
}

// TestAdjustmentsAreToldOnce: the time that cannot be read and the one behind it
// that is impossible are one adjustment.
func TestAdjustmentsAreToldOnce(t *testing.T) {
	message, err := kissmetrics.ParseMessage([]byte(`{"type":"page","userId":"u","timestamp":"garbage","originalTimestamp":"2612-01-01"}`))
	require.NoError(t, err)
	records, adjustments, err := kissmetrics.Transform(message, realNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	assert.Equal(t, realNow, records[0].Time)
	assert.Equal(t, []kissmetrics.Adjustment{{Field: "timestamp", Kind: kissmetrics.AdjustedTime}}, adjustments)
}

// TestTooManyValues: what is left of them does not depend on the order of a map's
// iteration.
func TestTooManyValues(t *testing.T) {
	wide := make(kissmetrics.Properties)
	for i := range 70 {
		members := make(map[string]any)
		for j := range 1000 {
			members[strconv.Itoa(j)] = j
		}
		wide[strconv.Itoa(i)] = members
	}
	first, told, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: wide}, testNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	require.Len(t, told, 1)
	assert.Equal(t, kissmetrics.AdjustedCount, told[0].Kind)
	again, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: wide}, testNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	require.True(t, slices.Equal(first[0].Properties, again[0].Properties))
}

// TestBlanksAroundAnAlias: they do not count, and are told.
func TestBlanksAroundAnAlias(t *testing.T) {
	long := strings.Repeat("x", 255)
	records, adjustments, err := kissmetrics.Transform(kissmetrics.Alias{UserID: "\tu ", PreviousID: long + " "}, testNow, kissmetrics.TransformOptions{Strict: true})
	require.NoError(t, err)
	assert.Equal(t, long, records[0].Person)
	assert.Equal(t, "u", records[0].Name)
	assert.Equal(t, []kissmetrics.Adjustment{
		{Field: "previousId", Kind: kissmetrics.AdjustedIdentity}, {Field: "userId", Kind: kissmetrics.AdjustedIdentity},
	}, adjustments)
}

// TestGroups: the group's id wins over a trait of that name, of which an object
// is another property.
func TestGroups(t *testing.T) {
	group := kissmetrics.Group{UserID: "u", GroupID: "g", Traits: kissmetrics.Properties{"id": map[string]any{"x": 1}, "a": 2}}
	assert.Equal(t, []string{"/s|u||0s|Group - a=2|Group - id=g|Group - id.x=1"}, lines(t, group, kissmetrics.TransformOptions{}))
	group.Traits = kissmetrics.Properties{"id": "other"}
	records, adjustments, err := kissmetrics.Transform(group, testNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	assert.Equal(t, []kissmetrics.Property{{Name: "Group - id", Value: "g"}}, records[0].Properties)
	assert.Equal(t, []kissmetrics.Adjustment{{Field: "property", Property: "id", Kind: kissmetrics.AdjustedClash}}, adjustments)
	group.Traits = kissmetrics.Properties{"id": "g"}
	_, adjustments, err = kissmetrics.Transform(group, testNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	assert.Empty(t, adjustments)
}

func TestEveryMessageMayBeAPointer(t *testing.T) {
	for _, pair := range [][2]kissmetrics.Message{
		{kissmetrics.Identify{UserID: "u"}, &kissmetrics.Identify{UserID: "u"}},
		{kissmetrics.Page{UserID: "u"}, &kissmetrics.Page{UserID: "u"}},
		{kissmetrics.Screen{UserID: "u"}, &kissmetrics.Screen{UserID: "u"}},
		{kissmetrics.Track{UserID: "u", Event: "e"}, &kissmetrics.Track{UserID: "u", Event: "e"}},
		{kissmetrics.Group{UserID: "u", GroupID: "g"}, &kissmetrics.Group{UserID: "u", GroupID: "g"}},
		{kissmetrics.Alias{UserID: "u", PreviousID: "p"}, &kissmetrics.Alias{UserID: "u", PreviousID: "p"}},
	} {
		assert.Equal(t, lines(t, pair[0], kissmetrics.TransformOptions{}), lines(t, pair[1], kissmetrics.TransformOptions{}))
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	message := kissmetrics.Track{UserID: "u", Event: "e", Properties: manyNames()}
	message.Properties["nested"] = map[string]any{"a": 1, "b": []any{map[string]int{"c": 1, "d": 2}}, "e": struct{ X, Y int }{1, 2}}
	message.Properties["nested.a"] = "literal"
	message.Properties["two.ways"], message.Properties["two"] = map[string]any{"to": 1}, map[string]any{"ways.to": "1"}
	message.Properties["revenue"], message.Properties[""] = 5, map[string]any{"revenue": 7}
	message.Properties["products"] = []any{map[string]any{"a": 1, "b": 2, "c": map[string]int{"d": 1, "e": 2}}}
	first := ""
	for range 50 {
		records, _, err := kissmetrics.Transform(message, testNow, kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen})
		require.NoError(t, err)
		line, err := json.Marshal(records)
		require.NoError(t, err)
		all := records[0].Query("k") + records[1].Query("k") + string(line)
		if first == "" {
			first = all
		}
		require.Equal(t, first, all)
	}
	assert.Contains(t, first, `"Billing Amount":5,`)
	assert.Contains(t, first, `"e-.revenue":7,`, "a member of what has an empty name is not what stands beside it")
	assert.Contains(t, first, `"e-two.ways.to":1}`)
}
