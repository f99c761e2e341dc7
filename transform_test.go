package kissmetrics_test

import (
	"encoding/json"
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
	_, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: strings.Repeat("e", 250), Properties: kissmetrics.Properties{"label": 1}}, testNow,
		kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen})
	requireField(t, "property", err) // too long only with its prefix
}

func TestAliasOnIdentify(t *testing.T) {
	on := kissmetrics.TransformOptions{AliasOnIdentify: true}
	both := kissmetrics.Identify{UserID: "u", AnonymousID: "a", Traits: kissmetrics.Properties{"x": 1}}
	assert.Equal(t, []string{"/s|u||0s|x=1"}, lines(t, both, kissmetrics.TransformOptions{}))
	assert.Equal(t, []string{"/a|a|u|0s", "/s|u||0s|x=1"}, lines(t, both, on))
	assert.Equal(t, []string{"/s|u||0s"}, lines(t, kissmetrics.Identify{UserID: "u"}, on))
	assert.Equal(t, []string{"/s|a||0s"}, lines(t, kissmetrics.Identify{AnonymousID: "a"}, on))
	assert.Equal(t, []string{"/s|u||0s"}, lines(t, kissmetrics.Identify{UserID: "u", AnonymousID: "u"}, on))

	_, _, err := kissmetrics.Transform(kissmetrics.Identify{UserID: "u", AnonymousID: "undefined"}, testNow, on)
	requireField(t, "anonymousId", err)
	_, _, err = kissmetrics.Transform(kissmetrics.Identify{UserID: "guest", AnonymousID: "a"}, testNow, on)
	requireField(t, "userId", err)
}

func TestOrderTotalAsRevenue(t *testing.T) {
	track := func(event string, properties kissmetrics.Properties) kissmetrics.Track {
		return kissmetrics.Track{UserID: "u", Event: event, Properties: properties}
	}
	tests := map[string]struct {
		message kissmetrics.Track
		want    string
	}{
		"taken":                 {track("Order Completed", kissmetrics.Properties{"total": "€20.00"}), "/e|u|Order Completed|0s|Billing Amount=20|revenue=20|total=€20.00"},
		"however it is spelled": {track("completed_order", kissmetrics.Properties{"total": 20}), "/e|u|completed_order|0s|Billing Amount=20|revenue=20|total=20"},
		"not where revenue is":  {track("Order Completed", kissmetrics.Properties{"total": 20, "revenue": 5}), "/e|u|Order Completed|0s|Billing Amount=5|revenue=5|total=20"},
		"not of another event":  {track("Order Refunded", kissmetrics.Properties{"total": 20}), "/e|u|Order Refunded|0s|total=20"},
		"not what is no amount": {track("Order Completed", kissmetrics.Properties{"total": "much"}), "/e|u|Order Completed|0s|total=much"},
		"not a list":            {track("Order Completed", kissmetrics.Properties{"total": []int{5}}), "/e|u|Order Completed|0s|total=5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, []string{test.want}, lines(t, test.message, kissmetrics.TransformOptions{OrderTotalAsRevenue: true}))
		})
	}
	assert.Equal(t, []string{"/e|u|Order Completed|0s|total=20"},
		lines(t, track("Order Completed", kissmetrics.Properties{"total": 20}), kissmetrics.TransformOptions{}), "off by default")
}

func TestRevenue(t *testing.T) {
	tests := []struct {
		revenue any
		amount  string // empty: no Billing Amount
	}{
		{25, "25"}, {25.0, "25"}, {100, "100"}, {"25", "25"}, {" 25.50 ", "25.5"}, {"$25", "25"}, {"-$25", "-25"}, {"$-25", "-25"}, {"- $ 25", "-25"},
		{"£1,234,567.00", "1234567"}, {"12.50 EUR", "12.5"}, {"USD 12", "12"}, {"12 €", "12"}, {"0.00", "0"}, {"-0", "0"},
		{json.Number("1.50"), "1.5"}, {json.Number("-0"), "0"}, {".5", "0.5"}, {"007", "7"}, {true, ""}, {"", ""}, {"$", ""}, {"EUR", ""}, {"12,34", ""}, {",123", ""}, {"1,2345", ""},
		{"1e3", ""}, {"1.2.3", ""}, {"1.", ""}, {"--5", ""}, {"0x10", ""}, {"NaN", ""}, {"five", ""}, {[]int{5}, ""}, {[]int{5, 300}, ""},
		{map[string]any{"amount": 5}, ""},
	}
	for _, test := range tests {
		records, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"revenue": test.revenue}}, testNow,
			kissmetrics.TransformOptions{})
		require.NoError(t, err)
		values := records[0].Values()
		assert.Equal(t, test.amount, values.Get("Billing Amount"), "%#v", test.revenue)
		if test.amount != "" {
			assert.Equal(t, test.amount, values.Get("revenue"), "%#v", test.revenue)
		}
	}
}

func TestProducts(t *testing.T) {
	type product struct {
		SKU   string  `json:"sku"`
		Price float64 `json:"price"`
	}
	a, b := product{"a", 1.5}, product{"b", 2}
	two := []string{"/e|u|e|0s", "/s|u||1s|price=1.5|sku=a", "/s|u||2s|price=2|sku=b"}
	tests := map[string]struct {
		products any
		want     []string
	}{
		"structs":             {[]product{a, b}, two},
		"pointers":            {[]*product{&a, nil, &b}, two},
		"a pointer to a list": {&[]any{a, nil, &b}, two},
		"an array":            {[2]product{a, b}, two},
		"one that is empty":   {[]any{a, map[string]any{}, map[string]any{"x": nil}, b}, two},
		"nil":                 {nil, []string{"/e|u|e|0s"}},
		"a nil list":          {[]product(nil), []string{"/e|u|e|0s"}},
		"an empty list":       {[]product{}, []string{"/e|u|e|0s"}},
		"an object":           {a, []string{"/e|u|e|0s|products.price=1.5|products.sku=a"}},
		"objects and others":  {[]any{a, 7}, []string{"/e|u|e|0s|products.0.price=1.5|products.0.sku=a|products.1=7"}},
		"nil alone":           {[]any{nil, nil}, []string{"/e|u|e|0s|products=,"}},
		"a text":              {"none", []string{"/e|u|e|0s|products=none"}},
		"texts of their own":  {[]textValue{{1, 2}, {3, 4}}, []string{"/e|u|e|0s|products=1/2,3/4"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, lines(t, kissmetrics.Track{
				UserID: "u", Event: "e", Properties: kissmetrics.Properties{"products": test.products},
			}, kissmetrics.TransformOptions{}))
		})
	}
	for name, products := range map[string]any{
		"a wrong value":         []any{a, map[string]any{"x": make(chan int)}},
		"a wrong name":          []any{a, map[string]any{" ": 1}},
		"names that are one":    []any{map[string]any{"A": 1, "a": 2}},
		"keys that are no text": []any{map[int]int{1: 2}},
	} {
		t.Run(name+" refuses all", func(t *testing.T) {
			records, _, err := kissmetrics.Transform(kissmetrics.Track{
				UserID: "u", Event: "e", Properties: kissmetrics.Properties{"products": products},
			}, testNow, kissmetrics.TransformOptions{})
			requireField(t, "property", err)
			assert.Empty(t, records)
		})
	}
}

// TestProductsShareNothing: neither the names of the event nor those of another
// product have a part in what becomes of a product.
func TestProductsShareNothing(t *testing.T) {
	wide, other := make(map[string]any), make(map[string]any)
	for i := range 20 {
		wide[strconv.Itoa(i)], other[strconv.Itoa(i)] = i, i+100
	}
	nested := map[string]any{"a": map[string]any{"b": map[string]any{"c": 1}}}
	for range 20 { // whatever the order of the maps' iteration
		records, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{
			"nested": nested, "products": []any{wide, other, map[string]any{"a.b.c": 2, "a.b": map[string]any{"c": 1}}},
		}}, testNow, kissmetrics.TransformOptions{})
		require.NoError(t, err)
		require.Len(t, records, 4)
		for i := range 20 {
			name := strconv.Itoa(i)
			require.Equal(t, name, records[1].Values().Get(name))
			require.Equal(t, strconv.Itoa(i+100), records[2].Values().Get(name))
		}
		require.Equal(t, []kissmetrics.Property{{Name: "a.b.c", Value: "2", Literal: true}}, records[3].Properties)
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
		"nil":                            {nil, "type"},
		"nil pointer":                    {(*kissmetrics.Track)(nil), "type"},
		"a type that embeds a message":   {outside{kissmetrics.Track{UserID: "u", Event: "e"}}, "type"},
		"a pointer to such a type":       {&outside{kissmetrics.Track{UserID: "u", Event: "e"}}, "type"},
		"blank identities":               {kissmetrics.Page{UserID: " ", AnonymousID: "\t"}, "identity"},
		"long identity":                  {kissmetrics.Page{UserID: strings.Repeat("x", 256)}, "identity"},
		"identity that is not UTF-8":     {kissmetrics.Page{UserID: "a\xff"}, "identity"},
		"long page name":                 {kissmetrics.Page{UserID: "u", Name: strings.Repeat("x", 250)}, "event"},
		"blank event":                    {kissmetrics.Track{UserID: "u", Event: "\n"}, "event"},
		"group without an id":            {kissmetrics.Group{UserID: "u"}, "groupId"},
		"group without a person":         {kissmetrics.Group{GroupID: "g"}, "identity"},
		"before 2009":                    {kissmetrics.Identify{UserID: "u", Timestamp: time.Date(2008, 12, 31, 23, 59, 59, 1e9-1, time.UTC)}, "timestamp"},
		"milliseconds taken for seconds": {kissmetrics.Identify{UserID: "u", Timestamp: time.Unix(1579847342358, 0)}, "timestamp"},
		"alias of a shared identity":     {kissmetrics.Alias{UserID: "u", PreviousID: " NULL "}, "previousId"},
		"alias to a shared identity":     {kissmetrics.Alias{UserID: "00000000-0000-0000-0000-000000000000", PreviousID: "p"}, "userId"},
		"alias before 2009":              {kissmetrics.Alias{UserID: "u", PreviousID: "p", Timestamp: time.Unix(1, 0)}, "timestamp"},
		"alias of what is not UTF-8":     {kissmetrics.Alias{UserID: "u", PreviousID: "\xff"}, "previousId"},
		"products beyond the year 9999":  {kissmetrics.Track{UserID: "u", Event: "e", Timestamp: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Properties: kissmetrics.Properties{"products": []any{map[string]any{"a": 1}}}}, "timestamp"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			records, _, err := kissmetrics.Transform(test.message, testNow, kissmetrics.TransformOptions{})
			requireField(t, test.field, err)
			assert.Empty(t, records)
		})
	}
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
