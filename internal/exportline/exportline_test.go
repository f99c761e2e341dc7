package exportline_test

import (
	"encoding/json"
	"encoding/json/jsontext"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/exportline"
)

// read returns the text that a text of an export stands for.
func read(t *testing.T, text string) string {
	t.Helper()
	var got string
	mended := exportline.JSON([]byte(`"` + text + `"`))
	require.NoError(t, json.Unmarshal(mended, &got), "%s", mended)
	return got
}

func TestTexts(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing special":                    {`caf&<>/`, `caf&<>/`},
		"escapes of JSON":                    {`\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00`, "\"\\/\b\f\n\r\té😀"},
		"two bytes in octal":                 {`caf\303\251`, "café"},
		"three bytes in octal":               {`\343\201\202\n`, "あ\n"},
		"four bytes in octal":                {`\360\237\230\200`, "😀"},
		"one byte in octal and one raw":      {"caf\\303\xa9", "café"},
		"octal that is escaped itself":       {`a\\303\\251`, `a\303\251`},
		"octal behind a backslash":           {`\\\303\251`, `\é`},
		"a quotation mark in octal":          {`cde \042`, `cde "`},
		"a backslash in octal":               {`a\134n`, `a\n`},
		"an apostrophe in octal":             {`it\047s`, `it's`},
		"a tab in octal":                     {`a\011b`, "a\tb"},
		"delete in octal":                    {`a\177b`, "a\x7fb"},
		"null in octal":                      {`a\000b`, "a\x00b"},
		"a letter in octal":                  {`\101`, "A"},
		"a digit behind octal":               {`\1012`, "A2"},
		"an apostrophe that is escaped":      {`it\'s\tok`, "it's\tok"},
		"a byte of Windows-1252":             {`Nick\231`, "Nick™"},
		"a raw byte of Windows-1252":         {"Nick\x92s", "Nick’s"},
		"a byte of Latin-1":                  {`caf\351`, "café"},
		"UTF-8 beside Windows-1252":          {`caf\303\251 \226 caf\351`, "café – café"},
		"a character that is cut":            {`caf\303`, "cafÃ"},
		"a byte without a letter":            {`a\201`, "a\u0081"},
		"a raw tab and others":               {"a\tb\x01\x00c", "a\tb\x01\x00c"},
		"a path":                             {`C:\Users\bob`, `C:\Users\bob`},
		"a path with what could be an octal": {`C:\Users\101`, `C:\Users\101`},
		"a path with letters":                {`C:\Users\Andr\303\251 \231`, `C:\Users\André ™`},
		"a path of a network":                {`\\srv\share\new`, `\\srv\share\new`},
		"a path of a folder":                 {`C:\Users\\`, `C:\Users\\`},
		"quotes in a path":                   {`\e \"it\'s\"`, `\e "it's"`},
		"a hexadecimal escape":               {`\xC3`, `\xC3`},
		"a template":                         {`\#{x}`, `\#{x}`},
		"octal with two digits":              {`\12`, `\12`},
		"octal with an 8":                    {`\128`, `\128`},
		"octal that is no byte":              {`\400`, `\400`},
		"an escape of three digits":          {`\u00e`, `\u00e`},
		"an escape that is no hexadecimal":   {`\u00eg`, `\u00eg`},
		"half of a pair":                     {`u\ud800`, `u\ud800`},
		"the other half of a pair":           {`u\udc00`, `u\udc00`},
		"a pair in the wrong order":          {`u\ude00\ud83d`, `u\ude00\ud83d`},
		"half of a pair before a character":  {`\ud83d\u0041`, `\ud83d\u0041`},
		"a character as it is for invalid":   {"\uFFFD", "\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, read(t, c.text)) })
	}
}

// What is no text is left to whoever reads the JSON.
func TestLines(t *testing.T) {
	for _, c := range [][2]string{
		{``, ``},
		{`{"a\351":"\231","b":[1,{"c\011":null}]}`, `{"aé":"™","b":[1,{"c\u0009":null}]}`},
		{"{\t\"a\"\t: 1}", "{\t\"a\"\t: 1}"},
		{`{"a":"b\"`, `{"a":"b\"`},
		{`{"a":"C:\"}`, `{"a":"C:\"}`},
		{`\303`, `\303`},
	} {
		assert.Equal(t, c[1], string(exportline.JSON([]byte(c[0]))), c[0])
	}
}

func TestNoTwoBytesAreOne(t *testing.T) {
	from := map[string]int{}
	for c := range 256 {
		for _, text := range []string{fmt.Sprintf(`u\%03o`, c), "u" + string([]byte{byte(c)})} {
			if text == `u"` || text == `u\` {
				continue // these end a text, or do not
			}
			got := read(t, text)
			if other, ok := from[got]; ok {
				require.Equal(t, other, c, "both are %q", got)
			}
			from[got] = c
		}
	}
	assert.Len(t, from, 256)
}

// FuzzJSON: the input is unchanged; what comes out is UTF-8, and mended no
// further; a text that JSON has written is the same text.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":"caf\303\251 \231 it\'s C:\Users\bob"}`, "\"\x80\\", `"\ud800\u"`, `\\"`, `"\\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := string(line)
		mended := exportline.JSON(line)
		require.Equal(t, before, string(line))
		require.True(t, utf8.Valid(mended))
		if json.Valid(mended) {
			require.Equal(t, string(mended), string(exportline.JSON(mended)))
		}
		text := strings.ToValidUTF8(before, "?")
		quoted, err := jsontext.AppendQuote(nil, text)
		require.NoError(t, err)
		require.Equal(t, text, read(t, string(quoted[1:len(quoted)-1])))
	})
}
