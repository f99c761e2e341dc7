package kissmetrics_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// A maker makes Go values as its bytes say.
type maker []byte

func (m *maker) next(n int) int {
	if len(*m) == 0 {
		return 0
	}
	b := (*m)[0]
	*m = (*m)[1:]
	return int(b) % n
}

// Values whose methods do what they should not.
type (
	panicsAsText  struct{ A int }
	panicsAsJSON  func()
	failsAsText   map[string]int
	brokenJSON    string
	deepJSON      int
	ownValue      struct{ value any }
	zeroPanics    struct{ A any }
	stringerOfNil struct{ s *string }
	recursive     struct {
		*recursive
		Self *recursive `json:"self,omitzero"`
		Any  any        `json:"any"`
	}
	embedding struct {
		secluded
		*Shown
		Value  any `json:"value,omitempty"`
		Number int `json:"number,string"`
	}
	secluded struct{ Inner any }
	// Shown is embedded by its pointer.
	Shown struct{ Other map[string]any }
)

func (panicsAsText) MarshalText() ([]byte, error) { panic(secretValue) }
func (panicsAsJSON) MarshalJSON() ([]byte, error) { panic(secretValue) }
func (failsAsText) MarshalText() ([]byte, error)  { return nil, errors.New(secretValue) }
func (s brokenJSON) MarshalJSON() ([]byte, error) { return []byte(s), nil }
func (n deepJSON) MarshalJSON() ([]byte, error) {
	return []byte(strings.Repeat("[", int(n)) + strings.Repeat("]", int(n))), nil
}
func (v ownValue) Value() (driver.Value, error) { return v.value, nil }
func (zeroPanics) IsZero() bool                 { panic(secretValue) }
func (zeroPanics) Unix() int64                  { panic(secretValue) }
func (s stringerOfNil) String() string          { return *s.s }
func (p *panicsAsText) Error() string           { panic(secretValue) }
func (failsAsText) Float64() (float64, bool)    { return 0, false }

func (m *maker) text() string {
	return pickBy(m, "", "a", "A", "é", "\xff", "products", "revenue", "_k", " ", "a.b", "1.5", "$1,000", "{}", "null", "1e400", strings.Repeat("x", 600), strings.Repeat("\xff", 300), "Billing Amount")
}

// pickBy picks one of several as the next byte says.
func pickBy[T any](m *maker, of ...T) T { return of[m.next(len(of))] }

// value makes a value of any kind.
func (m *maker) value(depth int) any {
	if depth == 0 || len(*m) == 0 {
		return m.scalar()
	}
	inner := func() any { return m.value(depth - 1) }
	switch m.next(20) {
	case 0:
		object := map[string]any{}
		for range m.next(5) {
			object[m.text()] = inner()
		}
		return object
	case 1:
		list := make([]any, m.next(5))
		for i := range list {
			list[i] = inner()
		}
		return list
	case 2:
		return &recursive{recursive: &recursive{Any: 1}, Self: &recursive{Any: inner()}, Any: inner()}
	case 3:
		return embedding{secluded{inner()}, pickBy(m, nil, &Shown{map[string]any{m.text(): inner()}}), inner(), m.next(9)}
	case 4:
		return m.made(inner())
	case 5:
		v := inner()
		return &v
	case 6:
		return ownValue{inner()}
	case 7:
		return map[any]any{m.text(): inner(), 1: 2, nil: 3, math.NaN(): 4, [1]any{m.text()}: 5}
	case 8:
		return [2]any{inner(), m.scalar()}
	case 9:
		return zeroPanics{inner()}
	case 10:
		return brokenJSON(m.text())
	case 11:
		return json.RawMessage(`{"a":[1,{"b":` + m.text() + `}]}`)
	case 12:
		return sql.Null[any]{V: inner(), Valid: m.next(2) == 0}
	}
	return m.scalar()
}

// made puts a value into one of a type that is made here.
func (m *maker) made(v any) any {
	t := reflect.TypeFor[any]()
	if v != nil {
		t = reflect.TypeOf(v)
	}
	switch m.next(4) {
	case 0:
		s := reflect.New(reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: t, Tag: pickBy[reflect.StructTag](m, "", `json:"-"`, `json:"-,"`, `json:",omitzero"`, `json:",omitempty,string"`, `json:"é,string"`)},
			{Name: "B", Type: reflect.PointerTo(t)},
		})).Elem()
		if v != nil {
			s.Field(0).Set(reflect.ValueOf(v))
		}
		return s.Interface()
	case 1:
		return reflect.MakeSlice(reflect.SliceOf(t), m.next(3), 3).Interface()
	case 2:
		return reflect.New(reflect.ArrayOf(m.next(3), t)).Interface()
	}
	return reflect.Zero(reflect.MapOf(reflect.TypeFor[string](), t)).Interface()
}

func (m *maker) scalar() any {
	none, text := (*time.Time)(nil), m.text()
	return pickBy[any](m, nil, text, 1, -1.5, math.NaN(), math.Inf(1), float32(0.1), uint64(math.MaxUint64), uintptr(3), true, 1i, func() {}, make(chan int), []byte("b"), [2]byte{1},
		time.Time{}, time.Unix(math.MaxInt64, 0), time.Duration(math.MinInt64), none, new(none), json.Number(text), json.RawMessage(text), json.RawMessage(nil),
		new(big.Int).Lsh(big.NewInt(1), 5000), *big.NewRat(1, 3), new(big.Float).SetInf(true), (*big.Float)(nil), big.NewFloat(1e300), panicsAsText{}, &panicsAsText{}, (*panicsAsText)(nil), panicsAsJSON(func() {}),
		failsAsText{"a": 1}, failsAsText(nil), brokenJSON(`{"a":{"b":[1,`), brokenJSON(`[{"a":null}]`), deepJSON(60), deepJSON(10_001), stringerOfNil{}, &stringerOfNil{}, sql.NullString{}, sql.NullTime{Valid: true},
		sql.RawBytes("x"), struct{}{}, &struct{ a int }{}, (*recursive)(nil), []any(nil), [][]string{{"a"}, nil}, error(nil), errors.New("e"), context.Canceled, struct{ error }{}, struct{ json.Marshaler }{},
		reflect.ValueOf(1), kissmetrics.Properties{"a": kissmetrics.Text("n", "v")}, kissmetrics.Track{UserID: "u"}, map[float64]int{math.NaN(): 1})
}

// FuzzGoValues: whatever Go values the properties of a message hold, there are valid
// records, the same each time, and what their methods panic or fail with is told nobody.
func FuzzGoValues(f *testing.F) {
	for i := range 256 {
		f.Add([]byte{2, 3, byte(i), byte(i + 1), byte(i >> 1)}, uint8(i))
		f.Add([]byte{4, byte(i % 20), 1, byte(i), 2, byte(i + 7), 3, byte(i + 11), 4, byte(i >> 2), byte(i >> 1)}, uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, flags uint8) {
		options := kissmetrics.TransformOptions{
			Prefix: kissmetrics.PrefixStyle(flags & 3 % 3), OrderTotalAsRevenue: flags&4 != 0, Strict: flags&8 != 0, MaxValueLength: []int{0, 1, 8192, 40}[flags>>4&3],
		}
		m := maker(data)
		properties := kissmetrics.Properties{}
		for range m.next(5) {
			properties[m.text()] = m.value(4)
		}
		for _, message := range []kissmetrics.Message{
			kissmetrics.Track{UserID: "u", Event: "Order Completed", Properties: properties}, &kissmetrics.Identify{UserID: "u", Traits: properties},
			kissmetrics.Page{UserID: "u", Properties: properties}, kissmetrics.Group{UserID: "u", GroupID: "g", Traits: properties},
		} {
			records, adjustments, err := kissmetrics.Transform(message, realNow, options)
			if err != nil {
				require.True(t, options.Strict, err)
				requireOnlyValidationErrors(t, err)
				requireNoSecret(t, err.Error())
			}
			for _, record := range records {
				require.NoError(t, record.Validate())
			}
			for _, adjustment := range adjustments {
				requireNoSecret(t, adjustment.String())
			}
			again, told, errAgain := kissmetrics.Transform(message, realNow, options)
			require.Equal(t, records, again)
			require.Equal(t, adjustments, told)
			require.Equal(t, err, errAgain)
		}
	})
}
