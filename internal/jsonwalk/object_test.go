package jsonwalk_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// raw returns a value as a reader does.
func raw(data []byte) (o jsonwalk.Object, ok bool) {
	value, err := jsonwalk.NewReader(data).Raw()
	return value, err == nil
}

// requireMembers requires that the members of an object are those of its map, and that
// a value of another kind has none.
func requireMembers(t *testing.T, o jsonwalk.Object, room int) {
	t.Helper()
	want := o.Map()
	require.Equal(t, len(want) == 0, o.IsEmpty())
	members, ok := o.Members(make([]jsonwalk.Member, room))
	require.Equal(t, want == nil || len(o) <= 4<<10 && len(want) <= room, ok)
	if !ok {
		return
	}
	require.Len(t, members, len(want), "each once")
	for i := range members {
		m := &members[i]
		v, isThere := want[m.Name]
		require.True(t, isThere)
		require.Equal(t, v, m.Value())
		require.Equal(t, v, jsonwalk.Decode(o.Find(m.Name)))
		kind := byte('0')
		switch v := v.(type) {
		case string:
			kind = '"'
			require.Equal(t, v, m.Text)
		case json.Number:
			require.Equal(t, string(v), m.Text)
		case bool:
			kind = strconv.FormatBool(v)[0]
			require.Equal(t, strconv.FormatBool(v), m.Text)
		case nil:
			kind = 'n'
		case map[string]any:
			kind = '{'
		case []any:
			kind = '['
		}
		require.Equal(t, kind, m.Kind)
	}
}

func TestMembersAreThoseOfTheMap(t *testing.T) {
	for name, data := range map[string]string{
		"every kind":          `{"a":"x","b":-1.50,"c":true,"d":false,"e":null,"f":{"a":[1]},"g":[{},"]"]}`,
		"white space":         " {\n\"a\" :\t[ 1 , 2 ] ,\"b\" : null , \"c\" : 7 } ",
		"none":                ` { } `,
		"a name twice":        `{"a":1,"b":2,"a":[3]}`,
		"a name in two forms": `{"a":1,"\u0061":null}`,
		"a name twice, full":  `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"g":8}`,
		"escapes":             `{"\"\\":"\"\\\u00e9","\\\\":"\\\\\""}`,
		"no UTF-8":            "{\"a\xff\":\"\xff\xfe\",\"é\":\"é\"}",
		"too many":            `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}`,
		"long":                `{"a":"` + strings.Repeat("x", 5000) + `","b":1}`,
		"null":                "null",
		"a word":              "false",
		"a digit":             "5",
		"a number":            "-12.5e3",
		"a text":              `"{\"a\":1}"`,
		"an empty text":       `""`,
		"a list":              `[{"a":1}]`,
		"an empty list":       "[]",
		"a long text":         `"` + strings.Repeat("x", 5000) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := raw([]byte(data))
			require.True(t, ok)
			requireMembers(t, o, 8)
		})
	}
	var none jsonwalk.Object
	requireMembers(t, none, 0)
	assert.Nil(t, none.Find("a"))
}

func FuzzObject(f *testing.F) {
	for _, data := range values {
		f.Add([]byte(data), 8)
	}
	f.Fuzz(func(t *testing.T, data []byte, room int) {
		if o, ok := raw(data); ok && len(data) < jsonwalk.MaxDepth {
			requireMembers(t, o, room&63)
		}
	})
}
