package kissmetrics_test

import (
	"encoding/json"
	"encoding/json/jsontext"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

var second = time.Unix(1579847342, 0).UTC()

func TestRecordValidate(t *testing.T) {
	valid := kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "p", Name: "n", Time: second,
		Properties: []kissmetrics.Property{{Name: "a", Value: "x"}, {Name: "b", Value: "-1.5", Literal: true}}}
	require.NoError(t, valid.Validate())
	alias := kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "p", Name: "n"}
	require.NoError(t, alias.Validate(), "an alias needs no time")

	with := func(change func(r *kissmetrics.Record)) kissmetrics.Record {
		r := valid
		change(&r)
		return r
	}
	property := func(p ...kissmetrics.Property) kissmetrics.Record {
		return with(func(r *kissmetrics.Record) { r.Properties = p })
	}
	tests := map[string]struct {
		record kissmetrics.Record
		field  string
	}{
		"no kind":                          {with(func(r *kissmetrics.Record) { r.Kind = 0 }), "type"},
		"no person":                        {with(func(r *kissmetrics.Record) { r.Person = "" }), "identity"},
		"no name":                          {with(func(r *kissmetrics.Record) { r.Name = "" }), "event"},
		"no time":                          {with(func(r *kissmetrics.Record) { r.Time = time.Time{} }), "timestamp"},
		"properties with a name":           {with(func(r *kissmetrics.Record) { r.Kind = kissmetrics.KindProperties }), "event"},
		"alias with properties":            {with(func(r *kissmetrics.Record) { r.Kind = kissmetrics.KindAlias }), "property"},
		"a person whom many share":         {with(func(r *kissmetrics.Record) { r.Person = "'null'" }), "identity"},
		"alias but for case":               {kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "P", Name: "p"}, "previousId"},
		"a name of blanks":                 {property(kissmetrics.Property{Name: "\u00a0\u3000"}), "property"},
		"two names that are one but for É": {property(kissmetrics.Property{Name: "É", Value: "1"}, kissmetrics.Property{Name: "é", Value: "2"}), "property"},
		"blank property":                   {property(kissmetrics.Property{Name: " "}), "property"},
		"long property name":               {property(kissmetrics.Property{Name: strings.Repeat("é", 256)}), "property"},
		"reserved property":                {property(kissmetrics.Property{Name: "_K"}), "property"},
		"name that is not UTF-8":           {property(kissmetrics.Property{Name: "\xff"}), "property"},
		"value that is not UTF-8":          {property(kissmetrics.Property{Name: "a", Value: "\xff"}), "property"},
		"long value":                       {property(kissmetrics.Property{Name: "a", Value: strings.Repeat("x", 8193)}), "property"},
		"no literal":                       {property(kissmetrics.Property{Name: "a", Value: "01", Literal: true}), "property"},
		"no order":                         {property(kissmetrics.Property{Name: "b"}, kissmetrics.Property{Name: "a"}), "property"},
		"a name twice":                     {property(kissmetrics.Property{Name: "a"}, kissmetrics.Property{Name: "a"}), "property"},
		"two names that are one":           {property(kissmetrics.Property{Name: "A", Value: "1"}, kissmetrics.Property{Name: "a", Value: "2"}), "property"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			requireField(t, test.field, test.record.Validate())
			_, err := json.Marshal(test.record)
			requireField(t, test.field, err)
		})
	}
}

func TestRecordImportLine(t *testing.T) {
	tests := map[string]struct {
		record kissmetrics.Record
		line   string
	}{
		"event": {kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "p", Name: "n", Time: second, Properties: []kissmetrics.Property{
			{Name: "a", Value: "1", Literal: true}, {Name: "b", Value: "1"}, {Name: "c", Value: "true", Literal: true}, {Name: "d", Value: "\"\n\u2028é"},
		}}, `{"_p":"p","_t":1579847342,"_n":"n","a":1,"b":"1","c":true,"d":"\"\n\u2028é"}`},
		"properties": {kissmetrics.Record{Kind: kissmetrics.KindProperties, Person: "p", Time: second}, `{"_p":"p","_t":1579847342}`},
		"alias":      {kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "p", Name: "q", Time: second}, `{"_p":"p","_t":1579847342,"_p2":"q"}`},
		"bare alias": {kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "p", Name: "q"}, `{"_p":"p","_p2":"q"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			line, err := json.Marshal(test.record)
			require.NoError(t, err)
			assert.Equal(t, test.line, string(line))
			var back kissmetrics.Record
			require.NoError(t, json.Unmarshal(line, &back))
			assert.Equal(t, test.record, back)
		})
	}
}

// TestEveryCharacterAtEveryPlace: what is done for eight bytes at once, for most texts
// that there are, is what the standard library does.
func TestEveryCharacterAtEveryPlace(t *testing.T) {
	for place := range 18 {
		for c := range rune(0x100) {
			for _, odd := range []string{string(c), string([]byte{byte(c)})} {
				text := strings.Repeat("x", place) + odd + strings.Repeat("y", 17-place)
				r := kissmetrics.NewProperties("p", second, kissmetrics.Text(text, text))
				valid := utf8.ValidString(text)
				require.Equal(t, valid, r.Validate() == nil, "%q", text)
				if !valid {
					continue
				}
				line, err := r.MarshalJSON()
				require.NoError(t, err)
				quoted, err := jsontext.AppendQuote(nil, text)
				require.NoError(t, err)
				require.Equal(t, `{"_p":"p","_t":1579847342,`+string(quoted)+":"+string(quoted)+"}", string(line))
			}
		}
	}
	for _, blank := range []string{"", " ", "\x7f", "\t \x7f", "\u00a0"} {
		require.Error(t, kissmetrics.NewProperties("p", second, kissmetrics.Text(blank, "")).Validate(), "%q", blank)
	}
}

func TestRecordFromForeignLines(t *testing.T) {
	good := map[string]struct{ line, want string }{
		"an export": {`{"_k":"key","_d":1,"_p":7,"_t":"1579847342.5","_n":"n","b":null,"a":{"x":[1,2]},"c":1e2}`,
			`{"_p":"7","_t":1579847342,"_n":"n","a.x":"1,2","c":100}`},
		"null for absent": {`{"_p":"p","_t":1579847342,"_n":null,"_p2":null}`, `{"_p":"p","_t":1579847342}`},
	}
	for name, test := range good {
		t.Run(name, func(t *testing.T) {
			var r kissmetrics.Record
			require.NoError(t, json.Unmarshal([]byte(test.line), &r))
			line, err := json.Marshal(r)
			require.NoError(t, err)
			assert.Equal(t, test.want, string(line))
		})
	}
	bad := map[string]struct{ line, field string }{
		"no object":             {`null`, "message"},
		"a list":                {`[]`, "message"},
		"no person":             {`{"_t":1579847342}`, "identity"},
		"a person of no text":   {`{"_p":[],"_t":1579847342}`, "identity"},
		"no time":               {`{"_p":"p","_n":"n"}`, "timestamp"},
		"a time of no number":   {`{"_p":"p","_t":"soon"}`, "timestamp"},
		"both alias and event":  {`{"_p":"p","_t":1579847342,"_n":"n","_p2":"q"}`, "type"},
		"alias with properties": {`{"_p":"p","_p2":"q","x":1}`, "property"},
		"a name that is blank":  {`{"_p":"p","_t":1579847342," ":1}`, "property"},
	}
	for name, test := range bad {
		t.Run(name, func(t *testing.T) {
			r := kissmetrics.Record{Person: "as it was"}
			requireField(t, test.field, r.UnmarshalJSON([]byte(test.line)))
			assert.Equal(t, kissmetrics.Record{Person: "as it was"}, r)
		})
	}
}

func TestRecordPrintsNoValues(t *testing.T) {
	r := kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "s3cret", Name: "n", Time: second,
		Properties: []kissmetrics.Property{{Name: "a", Value: "s3cret"}}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("a record", "record", r)
	for _, text := range []string{r.String(), fmt.Sprint(r), fmt.Sprintf("%+v %s", r, []kissmetrics.Record{r}), log.String()} {
		assert.NotContains(t, text, "s3cret")
		assert.Contains(t, text, `with 1 properties`)
	}
	assert.Equal(t, "Kind(9)", kissmetrics.Kind(9).String())
	assert.Empty(t, kissmetrics.Kind(9).Path())
	assert.Equal(t, "alias", kissmetrics.KindAlias.String())
}
