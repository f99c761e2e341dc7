package kmq_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// asJSON returns commands as a JSON array.
func asJSON(t *testing.T, commands []kmq.Command) string {
	t.Helper()
	data, err := json.Marshal(commands)
	require.NoError(t, err)
	return string(data)
}

// The samples of the destination document.
func TestConformance(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "conformance", "device-mode.json"))
	require.NoError(t, err)
	var samples []struct {
		Name              string
		Message, Commands json.RawMessage
	}
	require.NoError(t, json.Unmarshal(data, &samples))
	require.Len(t, samples, 4)
	for _, sample := range samples {
		t.Run(sample.Name, func(t *testing.T) {
			message, err := kissmetrics.ParseMessage(sample.Message)
			require.NoError(t, err)
			commands, _, err := kmq.Commands(message, kmq.Options{})
			require.NoError(t, err)
			assert.JSONEq(t, string(sample.Commands), asJSON(t, commands))
		})
	}
}

func TestCommands(t *testing.T) {
	type P = kissmetrics.Properties
	products := P{"order_id": "o-17", "revenue": "$1,234.50", "products": []P{
		{"sku": "MUG-1", "price": 6.25, "dims": P{"w": 2, "h": nil}},
		{},
		{"sku": "TEE-4", "price": 7.5},
	}}
	for name, test := range map[string]struct {
		message kissmetrics.Message
		options kmq.Options
		want    string
	}{
		"identify without a user only sets": {
			message: kissmetrics.Identify{Traits: P{"plan": "pro"}},
			want:    `[["set",{"plan":"pro"}]]`,
		},
		"identify never says the anonymous id": {
			message: kissmetrics.Identify{UserID: "u", AnonymousID: "a", Traits: P{"plan": "pro"}},
			want:    `[["identify","u"],["set",{"plan":"pro"}]]`,
		},
		"identify without traits sets nothing": {
			message: kissmetrics.Identify{UserID: "u"},
			want:    `[["identify","u"]]`,
		},
		"identify trims its user": {
			message: kissmetrics.Identify{UserID: " u "},
			want:    `[["identify","u"]]`,
		},
		"identify that says nothing is nothing": {
			message: kissmetrics.Identify{AnonymousID: "a"},
			want:    `null`,
		},
		"identify is never prefixed, and its traits have its time": {
			message: kissmetrics.Identify{UserID: "u", Traits: P{"plan": "pro"}, Timestamp: noon},
			options: kmq.Options{Prefix: kissmetrics.PrefixSpacedHyphen},
			want:    `[["identify","u"],["set",{"plan":"pro","_t":1772452800,"_d":1}]]`,
		},
		"a pointer is what it points to": {
			message: &kissmetrics.Identify{UserID: "u"},
			want:    `[["identify","u"]]`,
		},
		"nothing without a name but its event": {
			message: kissmetrics.Page{},
			want:    `[["record","Loaded a Page"]]`,
		},
		"the category names a page": {
			message: kissmetrics.Page{Name: "Pricing", Category: "Docs"},
			want:    `[["record","Viewed Docs Pricing page"]]`,
		},
		"a page is prefixed with Page": {
			message: kissmetrics.Page{Name: "home", Properties: P{"path": "/"}},
			options: kmq.Options{Prefix: kissmetrics.PrefixSpacedHyphen},
			want:    `[["record","Viewed home page",{"Page - path":"/"}]]`,
		},
		"a screen is not prefixed": {
			message: kissmetrics.Screen{Name: "home", Properties: P{"path": "/"}},
			options: kmq.Options{Prefix: kissmetrics.PrefixSpacedHyphen},
			want:    `[["record","Viewed home screen",{"path":"/"}]]`,
		},
		"Now gives no time to what needs none": {
			message: kissmetrics.Track{Event: "E"},
			options: kmq.Options{Now: noon},
			want:    `[["record","E"]]`,
		},
		"an event has the time of its message": {
			message: kissmetrics.Track{Event: "E", Timestamp: noon.Add(999 * time.Millisecond)},
			want:    `[["record","E",{"_t":1772452800,"_d":1}]]`,
		},
		"the person is the visitor": {
			message: kissmetrics.Track{Event: "E", UserID: "u", AnonymousID: "a"},
			want:    `[["record","E"]]`,
		},
		"revenue is the billing amount too": {
			message: kissmetrics.Track{Event: "Paid", Properties: P{"revenue": -5, "note": "x"}},
			options: kmq.Options{Prefix: kissmetrics.PrefixSpacedHyphen},
			want:    `[["record","Paid",{"Paid - revenue":-5,"Billing Amount":-5,"Paid - note":"x"}]]`,
		},
		"the total is the revenue where that is asked for": {
			message: kissmetrics.Track{Event: "Order Completed", Properties: P{"total": 5}},
			options: kmq.Options{OrderTotalAsRevenue: true},
			want:    `[["record","Order Completed",{"total":5,"revenue":5,"Billing Amount":5}]]`,
		},
		"each product has a second of its own": {
			message: kissmetrics.Track{Event: "Bought", Timestamp: noon, Properties: products},
			want: `[["record","Bought",{"order_id":"o-17","revenue":1234.5,"Billing Amount":1234.5,"_t":1772452800,"_d":1}],
				["set",{"sku":"MUG-1","price":6.25,"dims.w":2,"_t":1772452801,"_d":1}],
				["set",{"sku":"TEE-4","price":7.5,"_t":1772452802,"_d":1}]]`,
		},
		"products are prefixed, and counted from Now": {
			message: kissmetrics.Track{Event: "Bought", Properties: P{"products": []P{{"sku": 1}}}},
			options: kmq.Options{Prefix: kissmetrics.PrefixSpacedHyphen, Now: noon},
			want: `[["record","Bought",{"_t":1772452800,"_d":1}],
				["set",{"Bought - sku":1,"_t":1772452801,"_d":1}]]`,
		},
		"a group is set on the visitor": {
			message: kissmetrics.Group{GroupID: "g", Traits: P{"name": "Acme", "seats": 3, "id": "other"}},
			want:    `[["set",{"Group - id":"g","Group - name":"Acme","Group - seats":3}]]`,
		},
		"an alias has no time": {
			message: kissmetrics.Alias{UserID: "u", PreviousID: "a", Timestamp: noon},
			want:    `[["alias","u","a"]]`,
		},
		"numbers and booleans stay what they are": {
			message: kissmetrics.Track{Event: "E", Properties: P{"b": true, "i": -3, "f": 1.5, "z": json.Number("1.50"), "s": "1", "t": noon}},
			want:    `[["record","E",{"b":true,"i":-3,"f":1.5,"z":1.5,"s":"1","t":1772452800}]]`,
		},
		"what JavaScript would change is text": {
			message: kissmetrics.Track{Event: "E", Properties: P{
				"safe": int64(1<<53 - 1), "id": uint64(math.MaxUint64), "odd": int64(1<<53 + 1),
				"huge": 1e21, "large": 1e20, "tiny": 1e-7, "small": 1e-6, "long": json.Number("0.1234567890123456789"),
			}},
			want: `[["record","E",{"safe":9007199254740991,"id":"18446744073709551615","odd":"9007199254740993",
				"huge":"1000000000000000000000","large":100000000000000000000,"tiny":"0.0000001","small":0.000001,
				"long":"0.1234567890123456789"}]]`,
		},
		"values are cleaned, lists joined": {
			message: kissmetrics.Track{Event: "E", Properties: P{"n": nil, "l": []any{1, nil, "x"}, "o": P{}, "s": "", "_k": "k", "_t": 1}},
			want:    `[["record","E",{"l":"1,,x","s":""}]]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			commands, _, err := kmq.Commands(test.message, test.options)
			require.NoError(t, err)
			got := asJSON(t, commands)
			assert.Equal(t, decode(t, test.want), decode(t, got))
		})
	}
}

// decode returns JSON with its numbers as they are written.
func decode(t *testing.T, s string) (v any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(s))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&v), s)
	return v
}

func TestCommandsRefuse(t *testing.T) {
	var none *kissmetrics.Track
	for name, test := range map[string]struct {
		message kissmetrics.Message
		options kmq.Options
		field   string
	}{
		"nil":                             {message: nil, field: "type"},
		"a nil pointer":                   {message: none, field: "type"},
		"an event without a name":         {message: kissmetrics.Track{}, field: "event"},
		"an alias without an identity":    {message: kissmetrics.Alias{UserID: "u"}, field: "previousId"},
		"an alias to one that many share": {message: kissmetrics.Alias{UserID: "u", PreviousID: "null"}, field: "previousId"},
		"a group without an id":           {message: kissmetrics.Group{}, field: "groupId"},
		"what would be adjusted, if that is asked for": {
			message: kissmetrics.Track{Event: "E", Properties: kissmetrics.Properties{"f": math.NaN()}},
			options: kmq.Options{Strict: true}, field: "property",
		},
		"products without any time": {
			message: kissmetrics.Track{Event: "E", Properties: kissmetrics.Properties{"products": []kissmetrics.Properties{{"sku": 1}}}},
			field:   "timestamp",
		},
		"products with an impossible time alone": {
			message: kissmetrics.Track{
				Event: "E", Timestamp: time.Unix(1, 0), Properties: kissmetrics.Properties{"products": []kissmetrics.Properties{{"sku": 1}}},
			},
			field: "timestamp",
		},
	} {
		t.Run(name, func(t *testing.T) {
			commands, _, err := kmq.Commands(test.message, test.options)
			var wrong *kissmetrics.ValidationError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, test.field, wrong.Field)
			assert.Nil(t, commands)
		})
	}
}

// No command says who stands in for a visitor that is not known.
func TestNobodyIsNamed(t *testing.T) {
	for _, message := range []kissmetrics.Message{
		kissmetrics.Identify{Traits: kissmetrics.Properties{"a": 1}}, kissmetrics.Page{}, kissmetrics.Screen{},
		kissmetrics.Track{Event: "E"}, kissmetrics.Group{GroupID: "g"},
	} {
		commands, _, err := kmq.Commands(message, kmq.Options{})
		require.NoError(t, err)
		assert.NotContains(t, strings.ToLower(fmt.Sprintf("%+v", commands)), "visitor", "%T", message)
	}
}

func TestCommandByHand(t *testing.T) {
	literal := func(s string) []kissmetrics.Property {
		return []kissmetrics.Property{{Name: "n", Value: s, Literal: true}}
	}
	for name, test := range map[string]struct {
		command kmq.Command
		want    string // or, where it is empty, an error
	}{
		"clearIdentity":    {kmq.Command{Kind: kmq.KindClearIdentity}, `["clearIdentity"]`},
		"a click":          {kmq.Command{Kind: kmq.KindTrackClick, Element: "invite", Event: "E"}, `["trackClick","invite","E"]`},
		"a click on a #id": {kmq.Command{Kind: kmq.KindTrackClick, Element: "#invite", Event: "E"}, `["trackClick","#invite","E"]`},
		"a click with a property": {
			kmq.Command{Kind: kmq.KindTrackClick, Element: ".play", Event: "E", Properties: literal("1")}, `["trackClick",".play","E",{"n":1}]`,
		},
		"a form":                  {kmq.Command{Kind: kmq.KindTrackSubmit, Element: ".f", Event: "E"}, `["trackSubmit",".f","E"]`},
		"an outbound link":        {kmq.Command{Kind: kmq.KindTrackClickOnOutboundLink, Element: "a", Event: "E"}, `["trackClickOnOutboundLink","a","E"]`},
		"an outbound form":        {kmq.Command{Kind: kmq.KindTrackSubmitOnOutboundLink, Element: "a", Event: "E"}, `["trackSubmitOnOutboundLink","a","E"]`},
		"an element of no name":   {kmq.Command{Kind: kmq.KindTrackClick, Element: ".", Event: "E"}, ""},
		"no element":              {kmq.Command{Kind: kmq.KindTrackSubmit, Event: "E"}, ""},
		"an element of two signs": {kmq.Command{Kind: kmq.KindTrackClick, Element: "#.a", Event: "E"}, ""},
		"a selector":              {kmq.Command{Kind: kmq.KindTrackClick, Element: ".a .b", Event: "E"}, ""},
		"an element of no text":   {kmq.Command{Kind: kmq.KindTrackClick, Element: "a\xff", Event: "E"}, ""},
		"a click of no event":     {kmq.Command{Kind: kmq.KindTrackClick, Element: "a"}, ""},
		"a click in the past":     {kmq.Command{Kind: kmq.KindTrackClick, Element: "a", Event: "E", Time: noon}, ""},
		"set of nothing":          {kmq.Command{Kind: kmq.KindSet}, `["set",{}]`},
		"no kind":                 {kmq.Command{}, ""},
		"unknown kind":            {kmq.Command{Kind: "eval"}, ""},
		"identify as nobody":      {kmq.Command{Kind: kmq.KindIdentify}, ""},
		"identify as everybody":   {kmq.Command{Kind: kmq.KindIdentify, ID: "undefined"}, ""},
		"alias to oneself":        {kmq.Command{Kind: kmq.KindAlias, ID: "u", PreviousID: "u"}, ""},
		"record of no event":      {kmq.Command{Kind: kmq.KindRecord}, ""},
		"time too early":          {kmq.Command{Kind: kmq.KindRecord, Event: "E", Time: time.Unix(1, 0)}, ""},
		"code for a literal":      {kmq.Command{Kind: kmq.KindSet, Properties: literal("alert(1)")}, ""},
		"JSON for a literal":      {kmq.Command{Kind: kmq.KindSet, Properties: literal(`1,"_p":2`)}, ""},
		"reserved name":           {kmq.Command{Kind: kmq.KindSet, Properties: []kissmetrics.Property{{Name: "_t", Value: "1"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(test.command)
			html, htmlErr := kmq.Script("", test.command)
			if test.want == "" {
				var wrong *kissmetrics.ValidationError
				require.ErrorAs(t, err, &wrong)
				require.ErrorAs(t, htmlErr, &wrong)
				assert.Empty(t, html)
				return
			}
			require.NoError(t, err)
			require.NoError(t, htmlErr)
			assert.Equal(t, test.want, string(data))
			assert.Contains(t, html, "_kmq.push("+test.want+");")
		})
	}
}
