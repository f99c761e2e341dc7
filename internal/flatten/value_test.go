package flatten_test

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"encoding/json/jsontext"
	"errors"
	"math"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/flatten"
)

// Types as libraries have them.
type (
	both        struct{ X int } // String and MarshalJSON, as many types have
	decimalType string          // MarshalText and Float64, as decimal types have
	numeric     struct{ s any } // a column that is a text, and a number as JSON: pgtype.Numeric
	jsonColumn  struct{ X int } // a column that is kept as JSON
	selfColumn  struct{ n int } // a column that says itself
	badColumn   struct{ n int } // a column that fails
	bytesColumn struct{ b []byte }
	listColumn  []string  // a list that is a text in a database: pq.StringArray
	named       time.Time // has no methods
	dated       struct{ time.Time }
	v2only      struct{ X int }
	pointerly   struct{ s string }       // String by its pointer
	nullText    struct{ sql.NullString } // MarshalText too: guregu/null
	mapNamed    map[string]any
	protoTime   time.Time // as Protocol Buffers have it
	nullNumeric struct {
		D     decimalType
		Valid bool
	} // decimal.NullDecimal
	odd struct{ X int }
)

func (both) String() string                              { return "for people" }
func (b both) MarshalJSON() ([]byte, error)              { return json.Marshal(map[string]int{"x": b.X}) }
func (d decimalType) MarshalText() ([]byte, error)       { return []byte(d), nil }
func (d decimalType) Float64() (float64, bool)           { return 0, false }
func (n numeric) Value() (driver.Value, error)           { return n.s, nil }
func (n numeric) MarshalJSON() ([]byte, error)           { return []byte(n.s.(string)), nil }
func (c jsonColumn) Value() (driver.Value, error)        { return json.Marshal(c) }
func (c selfColumn) Value() (driver.Value, error)        { return c, nil }
func (c bytesColumn) Value() (driver.Value, error)       { return c.b, nil }
func (badColumn) Value() (driver.Value, error)           { return nil, errors.New("s3cret") }
func (l listColumn) Value() (driver.Value, error)        { return "{" + strings.Join(l, ",") + "}", nil }
func (v v2only) MarshalJSONTo(e *jsontext.Encoder) error { return e.WriteToken(jsontext.String("v2")) }
func (p *pointerly) String() string                      { return p.s }
func (n nullText) MarshalText() ([]byte, error)          { return []byte(n.String), nil }
func (p protoTime) AsTime() time.Time                    { return time.Time(p) }
func (p protoTime) String() string                       { return "for people" }
func (n nullNumeric) Value() (driver.Value, error)       { return string(n.D), nil }
func (odd) MarshalJSON() ([]byte, error)                 { return []byte(`1 2`), nil }

func TestWhatMethodsSay(t *testing.T) {
	address, err := url.Parse("https://example.com/a?b=c")
	require.NoError(t, err)
	one := func(s string) map[string]string { return map[string]string{"v": s} }
	nothing := map[string]string{}
	for name, test := range map[string]struct {
		v       any
		want    map[string]string
		literal bool
	}{
		"JSON before String":                  {both{7}, map[string]string{"v.x": "7"}, true},
		"JSON before String, by a pointer":    {&both{7}, map[string]string{"v.x": "7"}, true},
		"a column of bytes is their text":     {bytesColumn{[]byte("null")}, one("null"), false},
		"even if it is a number as JSON":      {bytesColumn{[]byte("12")}, one("12"), false},
		"the JSON of version 2":               {v2only{1}, one("v2"), false},
		"raw JSON, which has a String":        {json.RawMessage(`{"a":[1,2],"b":null}`), map[string]string{"v.a": "1,2"}, false},
		"raw JSON of version 2":               {jsontext.Value(`{"a":12}`), map[string]string{"v.a": "12"}, true},
		"raw JSON that is null":               {json.RawMessage(`null`), nothing, false},
		"raw JSON that is a number":           {json.RawMessage(`42.0`), one("42"), true},
		"raw JSON that is a text":             {json.RawMessage(`"x"`), one("x"), false},
		"raw JSON by a pointer":               {new(json.RawMessage(`7`)), one("7"), true},
		"a decimal":                           {decimalType("1.50"), one("1.5"), true},
		"a decimal that is none":              {decimalType("NaN"), one("NaN"), false},
		"a decimal that may be NULL":          {nullNumeric{"1.50", true}, one("1.5"), true},
		"a time of Protocol Buffers":          {protoTime(time.Unix(9, 0)), one("9"), true},
		"an address":                          {netip.MustParseAddr("2001:db8::1"), one("2001:db8::1"), false},
		"an old address":                      {net.IPv4(1, 2, 3, 4), one("1.2.3.4"), false},
		"a URL":                               {address, one("https://example.com/a?b=c"), false},
		"a buffer by its pointer's method":    {bytes.NewBufferString("x"), one("x"), false},
		"a struct by its pointer's method":    {pointerly{"x"}, one("x"), false},
		"the name of a month":                 {time.March, one("March"), false},
		"a time":                              {time.Unix(9, 0), one("9"), true},
		"a zero time":                         {time.Time{}, nothing, false},
		"a pointer to a zero time":            {&time.Time{}, nothing, false},
		"a zero time in another zone":         {time.Time{}.In(time.FixedZone("", 3600)), nothing, false},
		"a type made of time":                 {named(time.Unix(9, 0)), one("9"), true},
		"a zero one":                          {named{}, nothing, false},
		"a struct with a time in it":          {dated{time.Unix(9, 0).UTC()}, one("1970-01-01T00:00:09Z"), false},
		"a zero one, too":                     {dated{}, nothing, false},
		"NULL as a text":                      {sql.NullString{}, nothing, false},
		"a text that may be NULL":             {sql.NullString{String: "1", Valid: true}, one("1"), false},
		"a pointer to one":                    {&sql.NullString{String: "x", Valid: true}, one("x"), false},
		"an int that may be NULL":             {sql.NullInt64{Int64: 5, Valid: true}, one("5"), true},
		"a byte that may be NULL":             {sql.NullByte{Byte: 5, Valid: true}, one("5"), true},
		"a float that may be NULL":            {sql.NullFloat64{Float64: 1.5, Valid: true}, one("1.5"), true},
		"a bool that may be NULL":             {sql.NullBool{Valid: true}, one("false"), true},
		"NULL as a bool":                      {sql.NullBool{}, nothing, false},
		"a time that may be NULL":             {sql.NullTime{Time: time.Unix(9, 0), Valid: true}, one("9"), true},
		"NULL as a time":                      {sql.NullTime{}, nothing, false},
		"any type that may be NULL":           {sql.Null[uint32]{V: 7, Valid: true}, one("7"), true},
		"any type that is NULL":               {sql.Null[uint32]{V: 7}, nothing, false},
		"a struct that may be NULL":           {sql.Null[struct{ A int }]{V: struct{ A int }{1}, Valid: true}, map[string]string{"v.A": "1"}, true},
		"one that may be NULL twice":          {sql.Null[sql.NullString]{V: sql.NullString{}, Valid: true}, nothing, false},
		"NULL before MarshalText":             {nullText{}, nothing, false},
		"its value before MarshalText":        {nullText{sql.NullString{String: "x", Valid: true}}, one("x"), false},
		"a column that is a number as JSON":   {numeric{"12.50"}, one("12.5"), true},
		"a column kept as JSON":               {jsonColumn{7}, map[string]string{"v.X": "7"}, true},
		"a list that is a text in a database": {listColumn{"a", "b"}, one("a,b"), false},
		"a large big.Float":                   {big.NewFloat(1e6), one("1000000"), true},
		"a big.Float by value":                {*big.NewFloat(0.1), one("0.1"), true},
		"a big.Rat":                           {big.NewRat(1, 8), one("0.125"), true},
		"a big.Rat without an end":            {big.NewRat(1, 3), one("0.33333333333333333334"), true},
		"a big.Int":                           {new(big.Int).Lsh(big.NewInt(1), 70), one("1180591620717411303424"), true},
		"a big.Int by value":                  {*big.NewInt(-5), one("-5"), true},
		"a nil big.Int":                       {(*big.Int)(nil), nothing, false},
		"minus zero":                          {math.Copysign(0, -1), one("0"), true},
		"a number with zeros at its end":      {json.Number("42.0"), one("42"), true},
		"a map of another name":               {mapNamed{"a": mapNamed{"b": 1}}, map[string]string{"v.a.b": "1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var f flatten.Flattener
			f.Members(map[string]any{"v": test.v}, "")
			got := make(map[string]string)
			for _, p := range settle(&f) {
				got[p.Name] = p.Value
				assert.Equal(t, test.literal, p.Literal)
			}
			assert.Equal(t, test.want, got)
			assert.Empty(t, f.Notes())
		})
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	for name, v := range map[string]any{
		"a function":             func() {},
		"an infinite big.Float":  new(big.Float).SetInf(false),
		"a huge big.Float":       new(big.Float).SetMantExp(big.NewFloat(1), math.MaxInt32),
		"a huge big.Int":         new(big.Int).Lsh(big.NewInt(1), 10_000),
		"a column that fails":    badColumn{1},
		"a column without end":   selfColumn{1},
		"two values as JSON":     odd{1},
		"raw JSON that is none":  json.RawMessage(`{`),
		"raw JSON that is empty": json.RawMessage{},
		"too many digits":        json.Number("1" + strings.Repeat("0", 512)),
	} {
		t.Run(name, func(t *testing.T) {
			got, notes := value(v)
			assert.Empty(t, got)
			require.Len(t, notes, 1)
			assert.NotContains(t, notes[0].Reason, "s3cret")
			assert.True(t, strings.HasPrefix(notes[0].Name, "v"))
		})
	}
}

func TestValuesAreCut(t *testing.T) {
	for name, test := range map[string]struct {
		v    any
		want string
	}{
		"a text":            {strings.Repeat("é", 20), strings.Repeat("é", 10)},
		"bytes":             {[]byte(strings.Repeat("日", 20)), strings.Repeat("日", 10)},
		"a list":            {[]string{"12345678", "x", "y"}, "12345678,x"},
		"a list of lists":   {[][]int{{1, 2, 3}, {4, 5, 6}}, "1,2,3,4,5,"},
		"a fraction":        {1.0 / 3, "0.33333333"},
		"a fraction of 0":   {json.Number("12345678.00000001"), "12345678"},
		"invalid UTF-8":     {strings.Repeat("\xff", 20), "\uFFFD"},
		"a text of numbers": {"12345678901", "1234567890"},
	} {
		t.Run(name, func(t *testing.T) {
			f := flatten.Flattener{MaxValue: 10}
			f.Members(map[string]any{"v": test.v}, "")
			properties := settle(&f)
			require.Len(t, properties, 1)
			assert.Equal(t, test.want, properties[0].Value)
			assert.Equal(t, []flatten.Kind{flatten.ValueCut}, kindsOf(f.Notes()))
		})
	}
	f := flatten.Flattener{MaxValue: 10}
	f.Members(map[string]any{"v": int64(12345678901)}, "")
	assert.Empty(t, settle(&f), "a part of a whole number is another number")
	assert.Equal(t, []flatten.Kind{flatten.ValueDropped}, kindsOf(f.Notes()))
}
