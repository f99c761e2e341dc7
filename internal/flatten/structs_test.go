package flatten_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type (
	A      struct{ X, Y string }
	B      struct{ X, Z string }
	Deep   struct{ A }
	Tagged struct {
		W string `json:"X"`
	}
	Cycle struct {
		*Cycle
		X string
	}
	hiddenE struct{ Open string }
	Text    string
)

// TestFieldsAreThoseOfEncodingJSON: which fields a struct has, and their names,
// depend on its type and not on what it holds.
func TestFieldsAreThoseOfEncodingJSON(t *testing.T) {
	for name, v := range map[string]any{
		"two of one name": struct {
			A
			B
		}{A{"1", "2"}, B{"3", "4"}},
		"two of one name, one nil": struct {
			*A
			B
		}{nil, B{"3", "4"}},
		"two of one name, both nil": struct {
			*A
			*B
		}{},
		"the less embedded": struct {
			Deep
			B
		}{Deep{A{"1", "2"}}, B{"3", "4"}},
		"the less embedded, and nil": struct {
			Deep
			*B
		}{Deep{A{"1", "2"}}, nil},
		"the one with a tag": struct {
			A
			Tagged
		}{A{"1", "2"}, Tagged{"3"}},
		"a field of its own": struct {
			A
			X string
		}{A{"1", "2"}, "3"},
		"embedded in itself":            Cycle{&Cycle{nil, "1"}, "2"},
		"embedded and not exported":     struct{ hiddenE }{hiddenE{"1"}},
		"embedded by a pointer and not": struct{ *hiddenE }{&hiddenE{"1"}},
		"embedded and no struct":        struct{ Text }{"1"},
		"embedded with a name": struct {
			A `json:"a"`
		}{A{"1", "2"}},
		"left out": struct {
			A string `json:"-"`
			B string `json:"-,"` //nolint:staticcheck // it means the name "-"
		}{"1", "2"},
		"names of signs": struct {
			A string `json:"a.b/c $%-"`
		}{"1"},
		"omitempty": struct {
			A string        `json:",omitempty"`
			B []int         `json:",omitempty"`
			C *int          `json:",omitempty"`
			D time.Duration `json:",omitempty"`
		}{},
		"omitzero": struct {
			A time.Time `json:",omitzero"`
			B [2]int    `json:",omitzero"`
			C string    `json:"c,omitzero"`
		}{C: "x"},
		"not exported": struct {
			a string
			B string
		}{"1", "2"},
		"the same struct twice": struct {
			Deep
			A
		}{Deep{A{"1", "2"}}, A{"3", "4"}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(v)
			require.NoError(t, err)
			var want map[string]any
			require.NoError(t, json.Unmarshal(data, &want))
			wanted, _ := flat(map[string]any{"v": want})
			got, notes := value(v)
			assert.Equal(t, wanted, got, string(data))
			assert.Empty(t, notes)
		})
	}
}

func TestFieldsAsText(t *testing.T) {
	five, f := 5, struct {
		Int   int        `json:",string"`
		Bool  bool       `json:",string"`
		Ptr   *int       `json:",string"`
		Nil   *int       `json:",string"`
		List  []int      `json:",string"` //nolint:staticcheck // which encoding/json passes over
		Text  string     `json:",string"`
		Month time.Month `json:",string"`
		Plain int
	}{Int: 5, Bool: true, List: []int{5}, Text: "x", Month: time.May, Plain: 5}
	f.Ptr = &five
	got := make(map[string]property)
	for _, p := range settled(f) {
		got[strings.TrimPrefix(p.Name, "v.")] = property{Value: p.Value, Literal: p.Literal}
	}
	assert.Equal(t, map[string]property{
		"Int": {Value: "5"}, "Bool": {Value: "true"}, "Ptr": {Value: "5"}, "List": {Value: "5"}, "Text": {Value: "x"}, "Month": {Value: "May"},
		"Plain": {Value: "5", Literal: true},
	}, got)
}

// TestAStructThatHidesItsFields: it is told, and the others are sent.
func TestAStructThatHidesItsFields(t *testing.T) {
	got, notes := flat(map[string]any{"a": struct{ b int }{1}, "c": 1, "d": struct{}{}})
	assert.Equal(t, map[string]string{"c": "1"}, got)
	require.Len(t, notes, 1)
	assert.Equal(t, "a", notes[0].Name)
}
