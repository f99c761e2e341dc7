package kissmetrics_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// TestReadImportOfAnExport reads lines as Kissmetrics exports them, with other
// names. What is wanted is the line of the record, as ImportWriter writes it, and
// the fields of the protocol.
func TestReadImportOfAnExport(t *testing.T) {
	const clash = kissmetrics.AdjustedClash
	for rule, c := range map[string]struct {
		line, want, protocol string
		clashes              []string
	}{
		"an event":                   {`{"plan":"gold","seats":"3","_n":"signed up","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"_n":"signed up","plan":"gold","seats":"3"}`, "", nil},
		"the head in another order":  {`{"_t":1397577453,"plan":"gold","_p":"ivy","_n":"signed up"}`, `{"_p":"ivy","_t":1397577453,"_n":"signed up","plan":"gold"}`, "", nil},
		"properties":                 {`{"city":"oslo","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"city":"oslo"}`, "", nil},
		"an alias":                   {`{"_p2":"ivy","_p":"tt7qxv0cp2n1m9","_t":1397577453}`, `{"_p":"tt7qxv0cp2n1m9","_t":1397577453,"_p2":"ivy"}`, "", nil},
		"an empty value":             {`{"referrer":"","_n":"visited site","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"_n":"visited site","referrer":""}`, "", nil},
		"an empty event":             {`{"url":"https://shop.example/","_n":"","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"url":"https://shop.example/"}`, "", nil},
		"a blank event":              {`{"url":"x","_n":" ","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"url":"x"}`, "", nil},
		"an event that is null":      {`{"url":"x","_n":null,"_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"url":"x"}`, "", nil},
		"an empty other identity":    {`{"url":"x","_p2":"","_n":"visited site","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"_n":"visited site","url":"x"}`, "", nil},
		"an empty event of an alias": {`{"_p2":"ivy","_n":"","_p":"anon-9","_t":1397577453}`, `{"_p":"anon-9","_t":1397577453,"_p2":"ivy"}`, "", nil},

		"two bytes of a letter":       {`{"city":"malm\303\266","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"city":"malmö"}`, "", nil},
		"three bytes of a letter":     {`{"price":"\342\202\254 5","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"price":"€ 5"}`, "", nil},
		"a letter in a name":          {`{"gr\303\266\303\237e":"l","_n":"gew\303\244hlt","_p":"j\303\266rg","_t":1397577453}`, `{"_p":"jörg","_t":1397577453,"_n":"gewählt","größe":"l"}`, "", nil},
		"an escape of JSON":           {`{"city":"malm\u00f6\n","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"city":"malmö\n"}`, "", nil},
		"a backslash before digits":   {`{"code":"a\\303","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"code":"a\\303"}`, "", nil},
		"a quotation mark in octal":   {`{"size":"12\042","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"size":"12\""}`, "", nil},
		"a tab in octal":              {`{"size":"12\011in","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"size":"12\tin"}`, "", nil},
		"an apostrophe":               {`{"shop":"ivy\'s","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"shop":"ivy's"}`, "", nil},
		"a path":                      {`{"file":"D:\Users\nina\t1.txt","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"file":"D:\\Users\\nina\\t1.txt"}`, "", nil},
		"a template":                  {`{"title":"\#{post}","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"title":"\\#{post}"}`, "", nil},
		"an escape of another kind":   {`{"title":"\e[1m\xC3","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"title":"\\e[1m\\xC3"}`, "", nil},
		"a raw tab":                   {"{\"title\":\"a\tb\",\"_p\":\"ivy\",\"_t\":1397577453}", `{"_p":"ivy","_t":1397577453,"title":"a\tb"}`, "", nil},
		"a letter of Windows-1252":    {`{"nickname":"Ivy\231","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"nickname":"Ivy™"}`, "", nil},
		"one of Latin-1":              {`{"city":"malm\366","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"city":"malmö"}`, "", nil},
		"a raw one":                   {"{\"city\":\"malm\xf6\",\"_p\":\"ivy\",\"_t\":1397577453}", `{"_p":"ivy","_t":1397577453,"city":"malmö"}`, "", nil},
		"one in an identity":          {`{"city":"oslo","_p":"u\231","_t":1397577453}`, `{"_p":"u™","_t":1397577453,"city":"oslo"}`, "", nil},
		"another in an identity":      {`{"city":"oslo","_p":"u\222","_t":1397577453}`, `{"_p":"u’","_t":1397577453,"city":"oslo"}`, "", nil},
		"names that differ in one":    {`{"a\231":"1","a\222":"2","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"a’":"2","a™":"1"}`, "", nil},
		"halves of pairs stay apart":  {`{"a\ud800":"1","a\ud801":"2","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"a\\ud800":"1","a\\ud801":"2"}`, "", nil},
		"fields of a phone":           {`{"screen":"home","_c":"mobile_app","_u":"8f2","_umid":"77","_n":"opened app","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"_n":"opened app","screen":"home"}`, "_c=mobile_app _u=8f2 _umid=77", nil},
		"fields of a server":          {`{"_server_timestamp":1397577456,"_ip":"192.0.2.7","_ua":"Example/1.0","_p":"ivy","_t":1397577453,"city":"oslo"}`, `{"_p":"ivy","_t":1397577453,"city":"oslo"}`, "_ip=192.0.2.7 _server_timestamp=1397577456 _ua=Example/1.0", nil},
		"fields of an alias":          {`{"_p2":"anon-9","_c":"mobile_app","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"_p2":"anon-9"}`, "_c=mobile_app", nil},
		"fields and nothing else":     {`{"_c":"mobile_app","_n":"","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453}`, "_c=mobile_app", nil},
		"a field that nobody knows":   {`{"_x9":{"a":[1,2]},"__x9":"1","_P":"2","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"__x9":"1"}`, `_P=2 _x9={"a":[1,2]}`, nil},
		"a key and a flag":            {`{"_k":"abc","_d":"1","city":"oslo","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"city":"oslo"}`, "", nil},
		"a time that is a text":       {`{"city":"oslo","_p":"ivy","_t":"1397577453"}`, `{"_p":"ivy","_t":1397577453,"city":"oslo"}`, "", nil},
		"a time with an exponent":     {`{"city":"oslo","_p":"ivy","_t":1.397577453e9}`, `{"_p":"ivy","_t":1397577453,"city":"oslo"}`, "", nil},
		"an identity of digits":       {`{"city":"oslo","_p":1.2345e4,"_t":1397577453.75}`, `{"_p":"12345","_t":1397577453,"city":"oslo"}`, "", nil},
		"numbers":                     {`{"a":1e2,"b":1.0E-7,"c":12345678901234567890,"d":1.50,"e":true,"f":null,"_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"a":100,"b":0.0000001,"c":12345678901234567890,"d":1.50,"e":true}`, "", nil},
		"what is nested":              {`{"o":{"x":"1","y":[1,"b"]},"_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"o.x":"1","o.y":"1,b"}`, "", nil},
		"a name for what is nested":   {`{"o":{"x":"1"},"o.x":"2","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"o.x":"2"}`, "", []string{"o.x"}},
		"a name twice":                {`{"plan":"a","plan":"b","_c":"1","_c":"2","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"plan":"b"}`, "_c=2", []string{"plan", "_c"}},
		"a name twice with one value": {`{"plan":"a","Plan":"a","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"plan":"a"}`, "", nil},
		"a name in two cases":         {`{"plan":"a","Plan":"b","_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"Plan":"b"}`, "", []string{"plan"}},
		"what is nested twice":        {`{"o":{"x":"1"},"o":{"x":"2"},"_p":"ivy","_t":1397577453}`, `{"_p":"ivy","_t":1397577453,"o.x":"2"}`, "", []string{"o"}},
	} {
		t.Run(rule, func(t *testing.T) {
			lines := 0
			for line, err := range kissmetrics.ReadImport(strings.NewReader("\n" + c.line + "\n")) {
				lines++
				require.NoError(t, err)
				require.Equal(t, 2, line.Line)
				got, err := line.MarshalJSON()
				require.NoError(t, err)
				assert.Equal(t, c.want, string(got))
				var fields []string
				for _, p := range line.Protocol {
					fields = append(fields, p.Name+"="+p.Value)
				}
				assert.Equal(t, c.protocol, strings.Join(fields, " "))
				var want []kissmetrics.Adjustment
				for _, property := range c.clashes {
					want = append(want, kissmetrics.Adjustment{Field: "property", Property: property, Kind: clash})
				}
				assert.Equal(t, want, line.Adjustments)
			}
			assert.Equal(t, 1, lines)
		})
	}
}

func TestImportedRecordWithProtocol(t *testing.T) {
	const file = `{"screen":"home","_c":"mobile_app","_p":"ivy","_t":1397577453}
{"_p2":"anon-9","_c":"mobile_app","_p":"ivy","_t":1397577453}`
	var got []string
	for line, err := range kissmetrics.ReadImport(strings.NewReader(file)) {
		require.NoError(t, err)
		record := line.WithProtocol()
		require.NoError(t, record.Validate())
		written, err := record.MarshalJSON()
		require.NoError(t, err)
		got = append(got, string(written))
	}
	assert.Equal(t, []string{
		`{"_p":"ivy","_t":1397577453,"_c":"mobile_app","screen":"home"}`,
		`{"_p":"ivy","_t":1397577453,"_p2":"anon-9"}`,
	}, got)
}

// A record is stored as its line, so what was written is read as it was, whatever
// its names begin with.
func TestRecordIsUnmarshaledAsItWasMarshaled(t *testing.T) {
	want := kissmetrics.NewEvent("ivy", "e", second.UTC(), kissmetrics.Text("_c", "1"), kissmetrics.Text("__", "1"),
		kissmetrics.Number("n", 1.5), kissmetrics.Text("path", `C:\Users\bob`), kissmetrics.Text("plan", "a"), kissmetrics.Text("Plan", "a"),
		kissmetrics.Property{Name: "price", Value: "1.50", Literal: true}, kissmetrics.Text("html", "<a>&\u2028\x01"))
	line, err := json.Marshal(want)
	require.NoError(t, err)
	var got kissmetrics.Record
	require.NoError(t, json.Unmarshal(line, &got))
	assert.Equal(t, want, got)
}

func TestRecordUnmarshalsNothingThatItWouldLose(t *testing.T) {
	for name, c := range map[string]struct{ line, field string }{
		"a name twice":            {`{"_p":"u","_t":1579847342,"a":"1","a":"2"}`, "property"},
		"a name in two cases":     {`{"_p":"u","_t":1579847342,"a":"1","A":"2"}`, "property"},
		"an alias and a property": {`{"_p":"u","_p2":"v","_t":1579847342,"_c":"1"}`, "property"},
		"an octal escape":         {`{"_p":"u","_t":1579847342,"a":"\303\251"}`, "message"},
		"a list":                  {`[]`, "message"},
	} {
		t.Run(name, func(t *testing.T) {
			before := kissmetrics.NewAlias("a", "b", second)
			got := before
			requireField(t, c.field, got.UnmarshalJSON([]byte(c.line)))
			assert.Equal(t, before, got)
		})
	}
}
