package kissmetrics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

type (
	namedString string
	namedInt    int
	textValue   struct{ a, b int }
	onlyText    struct{ text string }
	badText     struct{}
	panicText   struct{}
	panicZero   struct{ X int }
	asJSON      struct{ json string }
	selfPointer *selfPointer
	node        struct {
		Name string
		Next *node
	}
	address struct {
		City string `json:"city"`
		Zip  string `json:"zip,omitempty"`
	}
	customer struct {
		address
		*embeddedPointer
		Name    string            `json:"name"`
		Age     int               `json:"age,omitempty"`
		Since   time.Time         `json:"since,omitzero"`
		Secret  string            `json:"-"`
		Dash    string            `json:"-,"` //nolint:staticcheck // it means the name "-"
		Ptr     *int              `json:"ptr"`
		Tags    []string          `json:"tags,omitempty"`
		Meta    map[string]string `json:"meta"`
		City    string            `json:"city"` // hides address.City
		private string
	}
	embeddedPointer struct{ Plan string }
	ambiguousA      struct{ X int }
	ambiguousB      struct{ X int }
	ambiguous       struct {
		ambiguousA
		ambiguousB
		Y int
	}
	taggedX struct {
		Z int `json:"X"`
	}
	mixed struct {
		ambiguousA
		taggedX
	}
	named struct {
		Address  address       `json:"addr"`
		address  `json:"home"` //nolint:unused // encoding/json leaves it out, for it is not exported
		Exported `json:"exported"`
	}
	Exported        struct{ X int }
	omitting[T any] struct {
		Struct T          `json:"struct,omitempty"`
		Gone   *time.Time `json:"gone,omitzero"`
		Local  time.Time  `json:"local,omitzero"`
		Bool   bool       `json:"bool,omitempty"`
	}
	hidden        struct{ a, b int }
	recursiveType struct{ *recursiveType }
)

func (v textValue) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/%d", v.a, v.b), nil }
func (v textValue) String() string               { return "MarshalText comes first" }
func (v *onlyText) String() string               { return v.text }
func (badText) MarshalText() ([]byte, error)     { return nil, errors.New("s3cret") }
func (panicText) MarshalText() ([]byte, error)   { panic("s3cret") }
func (panicZero) IsZero() bool                   { panic("s3cret") }
func (v asJSON) MarshalJSON() ([]byte, error)    { return []byte(v.json), nil }

// transformed returns the properties that a track of one property "v" becomes.
func transformed(v any, options kissmetrics.TransformOptions) (map[string]string, []kissmetrics.Adjustment, error) {
	records, adjustments, err := kissmetrics.Transform(kissmetrics.Track{
		UserID: "u", Event: "e", Properties: kissmetrics.Properties{"v": v},
	}, testNow, options)
	if err != nil {
		return nil, nil, err
	}
	got := make(map[string]string)
	for _, p := range records[0].Properties {
		got[p.Name] = p.Value
	}
	return got, adjustments, nil
}

func TestGoValues(t *testing.T) {
	seven := 7
	pointer := &seven
	when, lasting, number := time.Unix(9, 0), 1500*time.Millisecond, json.Number("1e2")
	text := func(s string) map[string]string { return map[string]string{"v": s} }
	nothing := map[string]string{}
	tests := []struct {
		name string
		v    any
		want map[string]string
	}{
		{"string", "a b", text("a b")},
		{"empty string", "", text("")},
		{"named string", namedString("x"), text("x")},
		{"invalid UTF-8", "a\xff\xfeb", text("a\uFFFDb")},
		{"invalid UTF-8 behind much that is valid", strings.Repeat("a", 40) + "\xff", text(strings.Repeat("a", 40) + "\uFFFD")},
		{"invalid UTF-8 in a named string", namedString("\xff"), text("\uFFFD")},
		{"invalid UTF-8 in bytes", []byte("\xff"), text("\uFFFD")},
		{"invalid UTF-8 of a method", &onlyText{"\xff"}, text("\uFFFD")},
		{"invalid UTF-8 in a name", map[string]any{"\xff": 1}, map[string]string{"v.\uFFFD": "1"}},
		{"true", true, text("true")},
		{"false", false, text("false")},
		{"int", -5, text("-5")},
		{"named int", namedInt(5), text("5")},
		{"int8", int8(math.MinInt8), text("-128")},
		{"int16", int16(math.MaxInt16), text("32767")},
		{"int32", int32(math.MinInt32), text("-2147483648")},
		{"int64", int64(math.MinInt64), text("-9223372036854775808")},
		{"uint", uint(5), text("5")},
		{"uint8", uint8(255), text("255")},
		{"uint16", uint16(65535), text("65535")},
		{"uint32", uint32(math.MaxUint32), text("4294967295")},
		{"uint64", uint64(math.MaxUint64), text("18446744073709551615")},
		{"uintptr", uintptr(5), text("5")},
		{"float64", 25.5, text("25.5")},
		{"float64 whole", 1e15, text("1000000000000000")},
		{"float64 tiny", 1e-7, text("0.0000001")},
		{"float64 huge", 1e21, text("1000000000000000000000")},
		{"float64 negative cents", -0.05, text("-0.05")},
		{"float64 minus zero", math.Copysign(0, -1), text("0")},
		{"float64 beyond an int64", float64(1 << 70), text("1180591620717411300000")},
		{"float64 beyond exact cents", 4503599627370495.5, text("4503599627370495.5")},
		{"float64 in a list", []any{16777217.5, 0.1}, text("16777217.5,0.1")},
		{"float32", float32(0.1), text("0.1")},
		{"float32 minus zero", float32(math.Copysign(0, -1)), text("0")},
		{"json.Number keeps its digits", json.Number("9007199254740993.10"), text("9007199254740993.1")},
		{"json.Number loses its exponent", json.Number("-1.50E+3"), text("-1500")},
		{"json.Number of a small exponent", json.Number("1.5e-3"), text("0.0015")},
		{"json.Number of nothing", json.Number("-0e5"), text("0")},
		{"time.Time", time.Date(2020, 1, 24, 6, 29, 2, 999, time.FixedZone("", 3600)), text("1579843742")},
		{"time.Duration", 1500 * time.Millisecond, text("1.5")},
		{"time.Duration whole", -2 * time.Minute, text("-120")},
		{"time.Duration tiny", -time.Nanosecond, text("-0.000000001")},
		{"TextMarshaler, before Stringer", textValue{1, 2}, text("1/2")},
		{"TextMarshaler behind a pointer", &textValue{1, 2}, text("1/2")},
		{"Stringer", net.IPv4(1, 2, 3, 4), text("1.2.3.4")},
		{"Stringer by pointer", &onlyText{"x"}, text("x")},
		{"big.Int", big.NewInt(1).Lsh(big.NewInt(1), 70), text("1180591620717411303424")},
		{"error", errors.New("went wrong"), text("went wrong")},
		{"json.Marshaler", asJSON{`{"a":{"b":[1,2]},"c":null}`}, map[string]string{"v.a.b": "1,2"}},
		{"json.RawMessage", json.RawMessage(`[{"x":1e2},2]`), map[string]string{"v.0.x": "100", "v.1": "2"}},
		{"nil", nil, nothing},
		{"nil pointer", (*int)(nil), nothing},
		{"nil pointer with methods", (*textValue)(nil), nothing},
		{"nil Stringer", (*onlyText)(nil), nothing},
		{"nil map", map[string]int(nil), nothing},
		{"nil Properties", kissmetrics.Properties(nil), nothing},
		{"nil slice", []string(nil), nothing},
		{"nil bytes", []byte(nil), nothing},
		{"nil list of any", []any(nil), nothing},
		{"nil function", (func())(nil), nothing},
		{"nil chan", (chan int)(nil), nothing},
		{"nil error in a list", []error{nil}, text("")},
		{"pointer", pointer, text("7")},
		{"pointer to pointer", &pointer, text("7")},
		{"pointer to time.Time", &when, text("9")},
		{"pointer to time.Duration", &lasting, text("1.5")},
		{"pointer to json.Number", &number, text("100")},
		{"pointers to time.Time in a list", []*time.Time{&when, nil}, text("9,")},
		{"pointer to time.Time in a struct", struct{ At *time.Time }{&when}, map[string]string{"v.At": "9"}},
		{"bytes", []byte("héllo"), text("héllo")},
		{"map of strings", map[string]string{"a": "1", "b": "2"}, map[string]string{"v.a": "1", "v.b": "2"}},
		{"map of named keys", map[namedString]any{"a": map[string]int{"b": 3}}, map[string]string{"v.a.b": "3"}},
		{"map of any keys that are strings", map[any]any{"a": 1}, map[string]string{"v.a": "1"}},
		{"Properties", kissmetrics.Properties{"a": kissmetrics.Properties{"b": 1}}, map[string]string{"v.a.b": "1"}},
		{"empty map", map[string]any{}, nothing},
		{"empty struct", struct{}{}, nothing},
		{"struct by its json tags", customer{
			address: address{City: "hidden", Zip: "1000"}, embeddedPointer: &embeddedPointer{"pro"}, Name: "Tintin",
			Secret: "s", Dash: "d", Ptr: pointer, Meta: map[string]string{"k": "v"}, City: "Brussels", private: "p",
		}, map[string]string{
			"v.name": "Tintin", "v.zip": "1000", "v.Plan": "pro", "v.-": "d", "v.ptr": "7", "v.meta.k": "v", "v.city": "Brussels",
		}},
		{"struct with what may be omitted", customer{Age: 3, Since: time.Unix(1579847342, 0), Tags: []string{"a", "b"}},
			map[string]string{"v.name": "", "v.-": "", "v.city": "", "v.age": "3", "v.since": "1579847342", "v.tags": "a,b"}},
		{"struct with fields that hide each other", ambiguous{Y: 1}, map[string]string{"v.Y": "1"}},
		{"struct with fields of which one has a tag", mixed{ambiguousA{1}, taggedX{2}}, map[string]string{"v.X": "2"}},
		{"struct with an embedded one that has a tag", named{Address: address{City: "a"}, Exported: Exported{1}},
			map[string]string{"v.addr.city": "a", "v.exported.X": "1"}},
		{"struct with what is omitted as encoding/json does", omitting[Exported]{Local: time.Time{}.In(time.FixedZone("", 3600))}, map[string]string{"v.struct.X": "0"}},
		{"list of scalars", []any{1, nil, "x", true, 2.5}, text("1,,x,true,2.5")},
		{"list of lists", [][]int{{1, 2}, {3}, {}}, text("1,2,3,")},
		{"array", [2]string{"a", "b"}, text("a,b")},
		{"empty list", []int{}, text("")},
		{"list of structs", []address{{City: "a"}, {City: "b", Zip: "1"}},
			map[string]string{"v.0.city": "a", "v.1.city": "b", "v.1.zip": "1"}},
		{"list of pointers to structs", []*address{nil, {City: "b"}}, map[string]string{"v.1.city": "b"}},
		{"list with an object deep within", []any{[]any{1, 2}, []any{map[string]any{"x": 1}}, nil, map[string]any{}},
			map[string]string{"v.0": "1,2", "v.1.0.x": "1"}},
		{"list of times", []time.Time{time.Unix(1, 0), time.Unix(2, 0)}, text("1,2")},
		{"64 levels", nest(62, "x"), map[string]string{"v" + strings.Repeat(".n", 63): "x"}},
		{"512 characters", strings.Repeat("é", 512), text(strings.Repeat("é", 512))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, strict := range []bool{true, false} {
				got, adjustments, err := transformed(test.v, kissmetrics.TransformOptions{Strict: strict})
				require.NoError(t, err)
				assert.Equal(t, test.want, got)
				assert.Empty(t, adjustments)
			}
		})
	}
}

// nest returns v within n+1 maps.
func nest(n int, v any) any {
	for range n + 1 {
		v = map[string]any{"n": v}
	}
	return v
}

// TestValuesThatCannotBeSent: each is left out or cut, which is told once by its
// name, and strict mode refuses the message.
func TestValuesThatCannotBeSent(t *testing.T) {
	cyclicMap := map[string]any{}
	cyclicMap["self"] = cyclicMap
	cyclicList := make([]any, 1)
	cyclicList[0] = cyclicList
	var cyclicPointer selfPointer
	cyclicPointer = &cyclicPointer
	cyclicNode := &node{Name: "s3cret"}
	cyclicNode.Next = cyclicNode
	var cyclicAny any
	cyclicAny = &cyclicAny
	recursive := &recursiveType{}
	recursive.recursiveType = recursive
	// Thirty levels of two references each: a billion leaves.
	laughs := any("s3cret")
	for range 30 {
		laughs = map[string]any{"a": laughs, "b": laughs}
	}
	tests := []struct {
		name   string
		v      any
		kind   kissmetrics.AdjustmentKind
		reason string
	}{
		{"chan", make(chan int), kissmetrics.AdjustedValueDropped, "is a chan"},
		{"chan", make(chan int), kissmetrics.AdjustedValueDropped, "is a chan"},
		{"func", func() {}, kissmetrics.AdjustedValueDropped, "is a func"},
		{"complex", 1i, kissmetrics.AdjustedValueDropped, "is a complex128"},
		{"NaN", math.NaN(), kissmetrics.AdjustedValueDropped, "is NaN"},
		{"NaN float32", float32(math.NaN()), kissmetrics.AdjustedValueDropped, "is NaN"},
		{"Inf", math.Inf(-1), kissmetrics.AdjustedValueDropped, "is infinite"},
		{"json.Number that is none", json.Number("s3cret"), kissmetrics.AdjustedValueDropped, "is not a number"},
		{"json.Number that is empty", json.Number(""), kissmetrics.AdjustedValueDropped, "is not a number"},
		{"json.Number of Infinity", json.Number("Infinity"), kissmetrics.AdjustedValueDropped, "is not a number"},
		{"json.Number that would fill the memory", json.Number("1e999999999"), kissmetrics.AdjustedValueDropped, "is not a number that can be written"},
		{"json.Number of as many decimals", json.Number("1e-999999999"), kissmetrics.AdjustedValueDropped, "is not a number that can be written"},
		{"json.Number of 513 digits", json.Number("1e512"), kissmetrics.AdjustedValueDropped, "is a number of too many digits"},
		{"map with int keys", map[int]string{1: "s3cret"}, kissmetrics.AdjustedValueDropped, "keys are not strings"},
		{"map with any keys", map[any]any{1: "s3cret", 2: "s3cret"}, kissmetrics.AdjustedValueDropped, "keys are not strings"},
		{"map with a nil key", map[any]any{nil: "s3cret"}, kissmetrics.AdjustedValueDropped, "keys are not strings"},
		{"MarshalText that fails", badText{}, kissmetrics.AdjustedValueDropped, "has a method that fails"},
		{"MarshalText that panics", panicText{}, kissmetrics.AdjustedValueDropped, "has a method that panics"},
		{"MarshalText that panics, in a list", []any{panicText{}}, kissmetrics.AdjustedValueDropped, "has a method that panics"},
		{"IsZero that panics", struct {
			P panicZero `json:",omitzero"`
		}{}, kissmetrics.AdjustedValueDropped, "has a method that panics"},
		{"MarshalJSON of nonsense", asJSON{"{s3cret"}, kissmetrics.AdjustedValueDropped, "invalid JSON"},
		{"struct with hidden fields only", hidden{1, 2}, kissmetrics.AdjustedValueDropped, "nothing that can be read"},
		{"cyclic embedding", recursive, kissmetrics.AdjustedValueDropped, "nothing that can be read"},
		{"cyclic map", cyclicMap, kissmetrics.AdjustedDepth, "64 levels"},
		{"cyclic list", cyclicList, kissmetrics.AdjustedDepth, "64 levels"},
		{"cyclic pointer", cyclicPointer, kissmetrics.AdjustedDepth, "64 levels"},
		{"cyclic struct", cyclicNode, kissmetrics.AdjustedDepth, "64 levels"},
		{"cyclic any", cyclicAny, kissmetrics.AdjustedDepth, "64 levels"},
		{"65 levels", nest(63, "s3cret"), kissmetrics.AdjustedDepth, "64 levels"},
		{"100,000 levels", nest(100_000, "s3cret"), kissmetrics.AdjustedDepth, "64 levels"},
		{"a billion leaves", laughs, kissmetrics.AdjustedCount, "more than 65536 values"},
		{"a list of ten million", make([]any, 10_000_000), kissmetrics.AdjustedCount, "more than 65536 values"},
		{"10 MB string", strings.Repeat("s3cret", 10<<20/6), kissmetrics.AdjustedValueCut, "more than 512 characters"},
		{"10 MB bytes", make([]byte, 10<<20), kissmetrics.AdjustedValueCut, "more than 512 characters"},
		{"513 characters", strings.Repeat("é", 513), kissmetrics.AdjustedValueCut, "more than 512 characters"},
		{"joined to 513 characters", []string{strings.Repeat("x", 511), "y"}, kissmetrics.AdjustedValueCut, "more than 512 characters"},
		{"invalid UTF-8", strings.Repeat("\xffa", 300), kissmetrics.AdjustedValueCut, "more than 512 characters"},
		{"a fraction of 600 digits", json.Number("0." + strings.Repeat("3", 600)), kissmetrics.AdjustedValueCut, "more than 512 characters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := transformed(test.v, kissmetrics.TransformOptions{Strict: true})
			requireField(t, "property", err)
			assert.ErrorContains(t, err, test.reason)
			assert.Equal(t, 1, strings.Count(err.Error(), test.reason), "it is said once")
			assert.NotContains(t, err.Error(), "s3cret")

			got, adjustments, err := transformed(test.v, kissmetrics.TransformOptions{})
			require.NoError(t, err)
			told := 0
			for _, a := range adjustments {
				assert.Equal(t, "property", a.Field)
				assert.True(t, strings.HasPrefix(a.Property, "v"), a.Property)
				if a.Kind == test.kind {
					told++
				}
			}
			assert.Equal(t, 1, told, "it is told once: %v", adjustments)
			for _, value := range got {
				assert.LessOrEqual(t, utf8.RuneCountInString(value), 512)
				assert.True(t, utf8.ValidString(value))
			}
			if test.kind == kissmetrics.AdjustedValueDropped {
				assert.Empty(t, got["v"])
			}
		})
	}
}

// TestTheRestIsSent: one odd property is no reason to lose another.
func TestTheRestIsSent(t *testing.T) {
	records, adjustments, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{
		"a": 1, "b": math.NaN(), "c": strings.Repeat("x", 600), "": "blank", "d": map[int]int{1: 2}, "E": 1, "e": 2,
		"f": []any{1, func() {}, 3}, "g": struct{ X, Y any }{1, 2i}, "_k": "evil", strings.Repeat("n", 300): "long",
	}}, testNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.NoError(t, records[0].Validate())
	assert.Equal(t, []kissmetrics.Property{
		{Name: "E", Value: "1", Literal: true}, {Name: "a", Value: "1", Literal: true}, {Name: "c", Value: strings.Repeat("x", 512)},
		{Name: "f", Value: "1,,3"}, {Name: "g.X", Value: "1", Literal: true}, {Name: strings.Repeat("n", 255), Value: "long"},
	}, records[0].Properties)
	assert.Equal(t, []kissmetrics.Adjustment{
		{Field: "property", Property: "", Kind: kissmetrics.AdjustedNameDropped},
		{Field: "property", Property: "_k", Kind: kissmetrics.AdjustedReserved},
		{Field: "property", Property: "b", Kind: kissmetrics.AdjustedValueDropped},
		{Field: "property", Property: "c", Kind: kissmetrics.AdjustedValueCut},
		{Field: "property", Property: "d", Kind: kissmetrics.AdjustedValueDropped},
		{Field: "property", Property: "e", Kind: kissmetrics.AdjustedClash},
		{Field: "property", Property: "f", Kind: kissmetrics.AdjustedValueDropped},
		{Field: "property", Property: "g.Y", Kind: kissmetrics.AdjustedValueDropped},
		{Field: "property", Property: strings.Repeat("n", 255), Kind: kissmetrics.AdjustedNameCut},
	}, adjustments)
}

func TestLiterals(t *testing.T) {
	records, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{
		"bool": true, "text bool": "true", "int": 5, "text int": "5", "float": 2.5, "time": time.Unix(9, 0),
		"list": []int{1}, "duration": time.Second, "number": json.Number("1e2"), "revenue": "$5.00",
	}}, testNow, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	assert.Equal(t, []kissmetrics.Property{
		{Name: "Billing Amount", Value: "5", Literal: true},
		{Name: "bool", Value: "true", Literal: true},
		{Name: "duration", Value: "1", Literal: true},
		{Name: "float", Value: "2.5", Literal: true},
		{Name: "int", Value: "5", Literal: true},
		{Name: "list", Value: "1"},
		{Name: "number", Value: "100", Literal: true},
		{Name: "revenue", Value: "5", Literal: true},
		{Name: "text bool", Value: "true"},
		{Name: "text int", Value: "5"},
		{Name: "time", Value: "9", Literal: true},
	}, records[0].Properties)
}
