package importline_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/importline"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

func TestHead(t *testing.T) {
	l, err := importline.Read([]byte(`{"_p":7,"_n":"e","_p2":"v","_t":1.5797e3,"_k":{},"_d":[1]}`), 100, false)
	require.NoError(t, err)
	assert.Equal(t, "7", l.Person)
	assert.Equal(t, "e", l.Event)
	assert.Equal(t, "v", l.Other)
	assert.Equal(t, "1579.7", l.Time)
	assert.EqualValues(t, 1579, l.Seconds)
	assert.Empty(t, l.Plain)
	assert.Empty(t, l.Nested)
	assert.Empty(t, l.Problems)
}

func TestWhatStandsBesideTheHead(t *testing.T) {
	const line = `{"b":"x","a":1.50,"c":1e2,"d":false,"e":null,"f":[1],"f":{"g":"h"},"_ip":"i","_x":{"j": [1]},"__x":[]}`
	plain := []importline.Value{
		{Name: "b", Text: "x"}, {Name: "a", Text: "1.50", Literal: true}, {Name: "c", Text: "100", Literal: true},
		{Name: "d", Text: "false", Literal: true}, {Name: "_ip", Text: "i"},
	}

	l, err := importline.Read([]byte(line), 100, false)
	require.NoError(t, err)
	assert.Equal(t, append(plain, importline.Value{Name: "_x", Text: `{"j": [1]}`}), l.Plain)
	assert.Equal(t, map[string]any{"f": map[string]any{"g": "h"}, "__x": []any{}}, l.Nested)
	assert.Equal(t, []string{"f"}, l.Twice)

	l, err = importline.Read([]byte(line), 100, true)
	require.NoError(t, err)
	assert.Equal(t, plain, l.Plain)
	assert.Equal(t, map[string]any{"j": []any{json.Number("1")}}, l.Nested["_x"], "all names are the sender's")
}

func TestProblems(t *testing.T) {
	for line, want := range map[string]importline.Problem{
		`{"_p":true}`:         {Field: "identity", Reason: "is neither a text nor a number"},
		`{"_n":[]}`:           {Field: "event", Reason: "is neither a text nor a number"},
		`{"_p2":{}}`:          {Field: "userId", Reason: "is neither a text nor a number"},
		`{"_t":false}`:        {Field: "timestamp", Reason: "is neither a text nor a number"},
		`{"_t":"now"}`:        {Field: "timestamp", Reason: "is not a number of seconds"},
		`{"_t":1e30}`:         {Field: "timestamp", Reason: "is not a number of seconds"},
		`{"_p":"","_p":"u"}`:  {Field: "identity", Reason: "is there twice, with different values"},
		`{"a":1e200}`:         {Field: "property", Name: "a", Reason: "is not a number of at most 100 digits"},
		`{"_p":"u","_p":"v"}`: {Field: "identity", Reason: "is there twice, with different values"},
	} {
		l, err := importline.Read([]byte(line), 100, false)
		require.NoError(t, err, line)
		assert.Equal(t, []importline.Problem{want}, l.Problems, line)
	}
	l, err := importline.Read([]byte(`{"_p":"u","_p":"u"}`), 100, false)
	require.NoError(t, err)
	assert.Empty(t, l.Problems)
}

func TestWhatIsNoLine(t *testing.T) {
	for _, line := range []string{``, `[1]`, `7`, `null`} {
		_, err := importline.Read([]byte(line), 100, false)
		require.Error(t, err, line)
	}
	_, err := importline.Read([]byte(`[]`), 100, false)
	require.ErrorIs(t, err, jsonwalk.ErrKind)
	for _, line := range []string{`{`, `{"a":1`, `{"a":1} {}`, `{"_x":{]}`, `{"a":1,}`} {
		_, err := importline.Read([]byte(line), 100, false)
		require.Error(t, err, line)
	}
}
