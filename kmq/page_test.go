package kmq_test

import (
	"encoding/json"
	"html/template"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

const nonce = "r4nd0m+/_-=="

func TestSnippet(t *testing.T) {
	for name, test := range map[string]struct {
		options kmq.SnippetOptions
		want    string
	}{
		"Kissmetrics' own hosts": {
			kmq.SnippetOptions{APIKey: "key"},
			`<script>var _kmq=_kmq||[],_kmk=_kmk||"key";</script>
<script async src="https://i.kissmetrics.io/i.js"></script>
<script async src="https://scripts.kissmetrics.io/key.2.js"></script>
`,
		},
		"nonce and another host": {
			kmq.SnippetOptions{APIKey: "key", Nonce: nonce, CommonURL: "http://127.0.0.1:8080/km/", ProductURL: "http://127.0.0.1:8080/km"},
			`<script nonce="r4nd0m+/_-==">var _kmq=_kmq||[],_kmk=_kmk||"key";</script>
<script nonce="r4nd0m+/_-==" async src="http://127.0.0.1:8080/km/i.js"></script>
<script nonce="r4nd0m+/_-==" async src="http://127.0.0.1:8080/km/key.2.js"></script>
`,
		},
		"the domain before": {
			kmq.SnippetOptions{APIKey: "key", CommonURL: "https://i.kissmetrics.com", ProductURL: "https://scripts.kissmetrics.com"},
			`<script>var _kmq=_kmq||[],_kmk=_kmk||"key";</script>
<script async src="https://i.kissmetrics.com/i.js"></script>
<script async src="https://scripts.kissmetrics.com/key.2.js"></script>
`,
		},
		"one of the hosts alone": {
			kmq.SnippetOptions{APIKey: "key", ProductURL: "https://example.com"},
			`<script>var _kmq=_kmq||[],_kmk=_kmk||"key";</script>
<script async src="https://i.kissmetrics.io/i.js"></script>
<script async src="https://example.com/key.2.js"></script>
`,
		},
		"the page's own host, and a hostile key": {
			kmq.SnippetOptions{APIKey: `</script>"&../?`, CommonURL: `/km"&amp;`, ProductURL: `/km"&amp;`},
			`<script>var _kmq=_kmq||[],_kmk=_kmk||"\u003c/script\u003e\"\u0026../?";</script>
<script async src="/km&#34;&amp;amp;/i.js"></script>
<script async src="/km&#34;&amp;amp;/%3C%2Fscript%3E%22&amp;..%2F%3F.2.js"></script>
`,
		},
		"the root of the page's own host": {
			kmq.SnippetOptions{APIKey: "key", CommonURL: "/", ProductURL: "/"},
			`<script>var _kmq=_kmq||[],_kmk=_kmk||"key";</script>
<script async src="/i.js"></script>
<script async src="/key.2.js"></script>
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := kmq.Snippet(test.options)
			require.NoError(t, err)
			assert.Equal(t, template.HTML(test.want), got)
		})
	}
}

// The policy in the documentation of Snippet is the one that Hosts makes; that
// it is enough is tested in kmq/browsertest.
func TestDocumentedPolicy(t *testing.T) {
	source, err := os.ReadFile("page.go")
	require.NoError(t, err)
	for _, directive := range []string{"img-src", "connect-src"} {
		assert.Contains(t, string(source), "//\t"+directive+" "+kmq.Hosts)
	}
}

func TestSnippetRefuses(t *testing.T) {
	for name, options := range map[string]kmq.SnippetOptions{
		"no key":                  {},
		"a key with a line break": {APIKey: "k\n"},
		"a key that is no text":   {APIKey: "k\xff"},
		"a nonce with a quote":    {APIKey: "k", Nonce: `"onload="alert(1)`},
		"a nonce with a space":    {APIKey: "k", Nonce: "a b"},
		"a nonce with a newline":  {APIKey: "k", Nonce: "abc\n"},
		"a script of code":        {APIKey: "k", ProductURL: "javascript:alert(1)"},
		"a script of data":        {APIKey: "k", ProductURL: "data:text/javascript,1"},
		"a host without a scheme": {APIKey: "k", ProductURL: "//example.com"},
		"a host by a backslash":   {APIKey: "k", ProductURL: `/\example.com`},
		"a relative path":         {APIKey: "k", ProductURL: "km"},
		"no host":                 {APIKey: "k", ProductURL: "https:///km"},
		"a password":              {APIKey: "k", ProductURL: "https://user:secret@example.com"},
		"a query":                 {APIKey: "k", ProductURL: "https://example.com/?a=secret"},
		"a control character":     {APIKey: "k", ProductURL: "https://example.com/\n"},
		"a space":                 {APIKey: "k", ProductURL: "https://example.com/ /"},
	} {
		t.Run(name, func(t *testing.T) {
			html, err := kmq.Snippet(options)
			require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
			assert.NotContains(t, err.Error(), "secret")
			assert.Empty(t, html)

			if options.ProductURL != "" {
				options.CommonURL, options.ProductURL = options.ProductURL, ""
				_, err = kmq.Snippet(options)
				require.ErrorIs(t, err, kissmetrics.ErrInvalidOption, "the other URL")
			}
		})
	}

	_, err := kmq.Snippet(kmq.SnippetOptions{Nonce: " ", CommonURL: "km", ProductURL: "km"})
	assert.Len(t, strings.Split(err.Error(), "\n"), 4, "every wrong option is told at once")
}

func TestScript(t *testing.T) {
	commands := []kmq.Command{
		{Kind: kmq.KindIdentify, ID: "u"},
		{Kind: kmq.KindRecord, Event: "E", Properties: []kissmetrics.Property{{Name: "__proto__", Value: "x"}, {Name: "n", Value: "1", Literal: true}}},
	}
	got, err := kmq.Script(nonce, commands...)
	require.NoError(t, err)
	assert.Equal(t, template.HTML(`<script nonce="r4nd0m+/_-==">var _kmq=_kmq||[];
_kmq.push(["identify","u"]);
_kmq.push(["record","E",{["__proto__"]:"x","n":1}]);
</script>
`), got)

	got, err = kmq.Script("")
	require.NoError(t, err)
	assert.Empty(t, got, "no commands are no element")

	_, err = kmq.Script("'", commands...)
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
}

// What html/template makes of it is what it was.
func TestScriptInATemplate(t *testing.T) {
	script, err := kmq.Script(nonce, kmq.Command{Kind: kmq.KindRecord, Event: "</script><b>"})
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, template.Must(template.New("").Parse("<p>{{.}}</p>")).Execute(&b, script))
	assert.Equal(t, "<p>"+string(script)+"</p>", b.String())
}

// Whatever a message holds, the script holds it, and no character that HTML or
// JavaScript could take for anything but a part of a text.
func FuzzScript(f *testing.F) {
	for _, s := range []string{
		"", "x", "</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\u2029", `"'\`, "{{.}}", "${x}",
		"&quot;", "\x00\r\n\t", "\xff", "__proto__", "é😀", "1e5", "true", strings.Repeat("é", 600),
	} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, event, name, value string) {
		commands, _, err := kmq.Commands(kissmetrics.Track{Event: event, Properties: kissmetrics.Properties{name: value}}, kmq.Options{})
		if err != nil {
			return
		}
		html, err := kmq.Script("", commands...)
		require.NoError(t, err)
		call, ok := strings.CutPrefix(string(html), "<script>var _kmq=_kmq||[];\n_kmq.push(")
		require.True(t, ok)
		call, ok = strings.CutSuffix(call, ");\n</script>\n")
		require.True(t, ok)
		require.False(t, strings.ContainsAny(call, "<>&\u2028\u2029\r\n"), call)
		call = strings.Replace(call, `{["__proto__"]:`, `{"__proto__":`, 1)
		var got []any
		require.NoError(t, json.Unmarshal([]byte(call), &got), call)
		require.Equal(t, "record", got[0])
		told := commands[0].Event
		require.Equal(t, told, got[1])
		if utf8.RuneCountInString(event) <= 255 {
			require.Equal(t, strings.ToValidUTF8(event, "\uFFFD"), told)
		}
		for _, v := range got[2:] {
			for _, v := range v.(map[string]any) {
				require.IsType(t, "", v)
			}
		}
	})
}
