package kissmetrics

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var messagesToDecode = map[string]struct {
	json string
	fast bool // whether decodeJSON is not needed
}{
	"every field": {`{"type":"track","userId":1,"anonymousId":"a","previousId":null,"groupId":true,"event":"E","name":"n","category":"c","properties":{"a":[1,{"b":null}]},` +
		`"traits":{},"context":{"x":[]},"timestamp":"t","originalTimestamp":-0.5e-7,"sentAt":"s","receivedAt":[]}`, true},
	"white space":                 {" {\n\"type\" :\t\"x\" , \"properties\":{ \"a\" : [ 1 , 2 ] , \"b\" : [ ] , \"c\" : { } } }\r\n", true},
	"fields of no use":            {`{"messageId":"m","integrations":{"All":[true,false,1.5e3,"x","\n"]},"_metadata":null}`, true},
	"escapes in values":           {`{"event":"\"\u00e9\ud83d\ude00\\","context":"\"","properties":{"a":"\/"}}`, true},
	"text beyond ASCII":           {`{"event":"é😀","properties":{"é":"😀"}}`, true},
	"text that is not UTF-8":      {"{\"event\":\"\xff\",\"x\":\"\xff\"}", true},
	"null for an object":          {`{"properties":null,"traits":null,"context":null}`, true},
	"a name twice in an object":   {`{"properties":{"a":1,"a":2}}`, true},
	"numbers":                     {`{"properties":{"a":0,"b":-0,"c":12345678901234567890,"d":1E400,"e":0.10}}`, true},
	"nothing":                     {`{}`, true},
	"escapes in names":            {`{"\u0074ype":"x","properties":{"\u0061":1}}`, false},
	"names in another case":       {`{"TYPE":"x","uſerId":"u"}`, false},
	"a field twice":               {`{"properties":{"a":1},"properties":{"b":2}}`, false},
	"a list for an object":        {`{"properties":[1]}`, false},
	"a number for an object":      {`{"traits":1}`, false},
	"no object":                   {`[1]`, false},
	"no value":                    {``, false},
	"null":                        {`null`, false},
	"something behind":            {`{} {}`, false},
	"a comma too many":            {`{"a":[1,]}`, false},
	"a comma too many at the end": {`{"a":1,}`, false},
	"no comma":                    {`{"a":1 "b":2}`, false},
	"no colon":                    {`{"a" 1}`, false},
	"the wrong end":               {`{"a":[1}}`, false},
	"no end":                      {`{"a":[1`, false},
	"a text with no end":          {`{"a":"x`, false},
	"an escape with no end":       {`{"a":"x\`, false},
	"an escape that is none":      {`{"a":"\x"}`, false},
	"a control character":         {"{\"a\":\"\x01\"}", false},
	"a line in a text":            {"{\"a\":\"\\\n\"}", false},
	"a word that is none":         {`{"a":nul}`, false},
	"a word with no end":          {`{"context":nul`, false},
	"a word too long":             {`{"a":nulll}`, false},
	"a number with a zero":        {`{"a":01}`, false},
	"a number with a plus":        {`{"a":+1}`, false},
	"a number with no fraction":   {`{"a":1.}`, false},
	"a number with no exponent":   {`{"a":1e+}`, false},
	"a number with no digits":     {`{"a":-}`, false},
	"1,001 levels":                {`{"properties":` + strings.Repeat(`{"a":`, 1001) + `1` + strings.Repeat(`}`, 1002), false},
	"1,001 levels of lists":       {`{"x":` + strings.Repeat(`[`, 1001) + strings.Repeat(`]`, 1001) + `}`, false},
	"20,000 levels":               {`{"x":` + strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000) + `}`, false},
}

// requireDecodedAlike checks decodeMessage and decodeObject against encoding/json,
// and reports whether the latter was not needed for the first.
func requireDecodedAlike(t *testing.T, data string) (fast bool) {
	t.Helper()
	var wantObject, gotObject map[string]any
	require.Equal(t, decodeJSON([]byte(data), &wantObject), decodeObject([]byte(data), &gotObject))
	require.Equal(t, wantObject, gotObject)

	var want, got wireMessage
	wantErr := decodeJSON([]byte(data), &want)
	gotErr := decodeMessage([]byte(data), &got)
	require.Equal(t, wantErr, gotErr)
	if wantErr == nil {
		require.Equal(t, want, got)
	}
	d := decoder{data: []byte(data)}
	fast = d.message(new(wireMessage))
	require.False(t, fast && wantErr != nil)
	return fast
}

func TestDecodeMessage(t *testing.T) {
	for name, test := range messagesToDecode {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.fast, requireDecodedAlike(t, test.json)) })
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, test := range messagesToDecode {
		if len(test.json) < 1000 {
			f.Add(test.json)
		}
	}
	f.Fuzz(func(t *testing.T, data string) { requireDecodedAlike(t, data) })
}

func TestAppendTextIsThatOfPackageJSON(t *testing.T) {
	texts := []string{"", "order-17", `a "b" \ c`, "<a&b>", "é😀", "\u2028", "\xff", "a\xffb", "日本"}
	for c := range rune(0x250) {
		texts = append(texts, string(c), "x"+string(c)+"y")
	}
	for _, text := range texts {
		want, err := json.Marshal(text)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(appendText(nil, text)))
	}
}
