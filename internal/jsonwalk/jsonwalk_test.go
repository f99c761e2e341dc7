package jsonwalk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// oracle is what package json makes of data, with numbers as they are written.
func oracle(data []byte) (v any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil, false
	}
	_, err := d.Token()
	return v, errors.Is(err, io.EOF)
}

var values = map[string]string{
	"every kind":             `{"a":[1,{"b":null},true,false,"x"],"c":{},"d":[]}`,
	"white space":            " {\n\"a\" :\t[ 1 , 2 ] ,\"b\" : { } }\r\n",
	"a text alone":           `"x"`,
	"null":                   `null`,
	"escapes":                `{"\u0061":"\"\u00e9\ud83d\ude00\\\/\n"}`,
	"half of a pair":         `"\ud83d x"`,
	"beyond ASCII":           `{"é":"😀"}`,
	"no UTF-8":               "{\"a\xff\":\"\xff\xfe\"}",
	"a name twice":           `{"a":1,"a":2}`,
	"names in another case":  `{"a":1,"A":2}`,
	"numbers":                `[0,-0,12345678901234567890,1E400,0.10,-1.5e-7]`,
	"nothing":                ``,
	"two values":             `{} {}`,
	"something behind":       `{} x`,
	"a comma too many":       `[1,]`,
	"a comma too many, too":  `{"a":1,}`,
	"no comma":               `{"a":1 "b":2}`,
	"no colon":               `{"a" 1}`,
	"no name":                `{1:2}`,
	"the wrong end":          `{"a":[1}}`,
	"no end":                 `{"a":[1`,
	"no end of a text":       `{"a":"x`,
	"no end of an escape":    `{"a":"x\`,
	"an escape that is none": `"\x"`,
	"a control character":    "\"\x01\"",
	"a word that is none":    `nul`,
	"a word too long":        `nulll`,
	"many side by side":      "[" + strings.Repeat(`[],{},`, jsonwalk.MaxDepth) + "[1]]",
	"a number with a zero":   `01`,
	"a number with a plus":   `+1`,
	"no fraction":            `1.`,
	"no exponent":            `1e+`,
	"no digits":              `-`,
	"a comment":              `{"a":1} // x`,
	"another quote":          `{'a':1}`,
}

func requireLikeOracle(t *testing.T, data []byte) {
	t.Helper()
	want, ok := oracle(data)
	got, err := jsonwalk.Value(data)
	if !ok {
		_, isError := errors.AsType[*jsonwalk.Error](err)
		require.True(t, isError, "%v", err)
		require.Nil(t, got)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestValueIsThatOfPackageJSON(t *testing.T) {
	for name, data := range values {
		t.Run(name, func(t *testing.T) { requireLikeOracle(t, []byte(data)) })
	}
}

func FuzzValue(f *testing.F) {
	for _, data := range values {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < jsonwalk.MaxDepth {
			requireLikeOracle(t, data)
		}
		if _, ok := jsonwalk.Mend(data); ok {
			require.False(t, json.Valid(data), "what is JSON is left alone")
		}
	})
}

func TestWhatIsNestedTooDeeplyIsNull(t *testing.T) {
	for name, pair := range map[string][2]string{"lists": {"[", "]"}, "objects": {`{"a":`, "}"}} {
		t.Run(name, func(t *testing.T) {
			nested := func(levels int) []byte {
				return []byte(strings.Repeat(pair[0], levels) + "1" + strings.Repeat(pair[1], levels))
			}
			requireLikeOracle(t, nested(jsonwalk.MaxDepth))
			v, err := jsonwalk.Value(nested(jsonwalk.MaxDepth + 1))
			require.NoError(t, err)
			levels := 0
			for ; v != nil; levels++ {
				switch next := v.(type) {
				case []any:
					v = next[0]
				case map[string]any:
					v = next["a"]
				default:
					v = nil
				}
			}
			assert.Equal(t, jsonwalk.MaxDepth, levels)
			_, err = jsonwalk.Value(nested(100_000))
			assert.Error(t, err)
		})
	}
}

func TestErrorsTellThePlaceOnly(t *testing.T) {
	for _, data := range []string{`{"secret":secret}`, `{"secret" "secret"}`, `["secret",]`, `{"secret":"\s"}`} {
		_, err := jsonwalk.Value([]byte(data))
		require.Error(t, err)
		assert.Regexp(t, `^is not JSON, as of byte \d+$`, err.Error())
		assert.NoError(t, errors.Unwrap(err))
	}
}

func TestMembersAndElements(t *testing.T) {
	data := []byte(` {"a\u0062": [ {"x":1} , "y" , 7 ], "skipped":{"z":[]}, "object": {"i":1} , "v":null} `)
	r := jsonwalk.NewReader(data)
	var got []string
	add := func(what string, raw []byte) {
		got = append(got, what+" "+string(raw))
		assert.Equal(t, 1, bytes.Count(data, raw))
		raw[0] ^= 1
		assert.Equal(t, 0, bytes.Count(data, []byte(got[len(got)-1][len(what)+1:])), "%s is a part of the data, not a copy", raw)
		raw[0] ^= 1
	}
	require.NoError(t, r.Members(func(name []byte) error {
		switch string(name) {
		case "ab":
			return r.Elements(func() error {
				kind := r.Kind()
				raw, err := r.Raw()
				add(string(kind), raw)
				return err
			})
		case "object":
			raw, err := r.Object(func(name []byte) error {
				v, err := r.Value()
				assert.Equal(t, json.Number("1"), v)
				return err
			})
			add("object", raw)
			return err
		}
		return r.Skip()
	}))
	assert.Equal(t, []string{`{ {"x":1}`, `" "y"`, `0 7`, `object {"i":1}`}, got)
}

func TestAnotherKindIsNotRead(t *testing.T) {
	r := jsonwalk.NewReader([]byte(`[7]`))
	fail := func([]byte) error { t.Error("called"); return nil }
	require.ErrorIs(t, r.Members(fail), jsonwalk.ErrKind)
	require.NoError(t, r.Elements(func() error {
		assert.ErrorIs(t, r.Elements(func() error { return nil }), jsonwalk.ErrKind)
		v, err := r.Value()
		assert.Equal(t, json.Number("7"), v)
		return err
	}))
	assert.NotErrorIs(t, jsonwalk.NewReader(nil).Members(fail), jsonwalk.ErrKind, "nothing has no kind")
}

func TestTheFirstErrorEndsTheWalk(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := jsonwalk.NewReader([]byte(`{"a":1,"b":2}`)).Members(func([]byte) error { calls++; return stop })
	require.ErrorIs(t, err, stop)
	err = jsonwalk.NewReader([]byte(`[1,2]`)).Elements(func() error { calls++; return stop })
	require.ErrorIs(t, err, stop)
	assert.Equal(t, 2, calls)
}

func TestUnquote(t *testing.T) {
	for value, want := range map[string]string{`"x"`: "x", `""`: "", `"\u0078\n"`: "x\n", `"é"`: "é", "\"\xff\"": "\ufffd", `7`: "", `null`: "", ``: ""} {
		assert.Equal(t, want, string(jsonwalk.Unquote([]byte(value))), value)
	}
}

func TestMend(t *testing.T) {
	for name, test := range map[string]struct{ data, want string }{
		"a byte order mark":            {"\ufeff{}", `{}`},
		"not a number":                 {`{"a":NaN}`, `{"a":1e999999999}`},
		"infinity":                     {`[Infinity,-Infinity]`, `[1e999999999,-1e999999999]`},
		"control characters":           {"{\"a\nb\":\"\t\x1f\"}", `{"a\u000ab":"\u0009\u001f"}`},
		"one text of several":          {"[\"\n\",\"x\"]", `["\u000a","x"]`},
		"behind a backslash":           {"\"\\\n\"", `"\\\u000a"`},
		"a name in a text stays":       {"[\"NaN \\\" Infinity\",NaN]", `["NaN \" Infinity",1e999999999]`},
		"what else is wrong stays":     {"{\"a\":NaN,x", `{"a":1e999999999,x`},
		"no end of a text":             {"\"\n", `"\u000a`},
		"no end of an escape":          {"\"\n\\", `"\u000a\\`},
		"nothing to mend":              {`{"a":tru}`, ""},
		"white space outside of texts": {"{\n\t\"a\":1\r\n}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			mended, ok := jsonwalk.Mend([]byte(test.data))
			assert.Equal(t, test.want != "", ok)
			if ok {
				assert.Equal(t, test.want, string(mended))
			}
		})
	}
}

// What is kept of a large value must not keep all of it.
func TestATextDoesNotKeepAMegabyte(t *testing.T) {
	const size = 8 << 20
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // a few megabytes
	}
	before := heap()
	v, err := jsonwalk.Value([]byte(`{"large":"` + strings.Repeat("x", size) + `","small":"y"}`))
	require.NoError(t, err)
	small := v.(map[string]any)["small"]
	v = nil
	assert.Less(t, heap()-before, int64(size/2))
	assert.Equal(t, "y", small)
	assert.Nil(t, v)
}
