package browsertest

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

func commands(t *testing.T, message kissmetrics.Message) []kmq.Command {
	t.Helper()
	commands, _, err := kmq.Commands(message, kmq.Options{})
	require.NoError(t, err)
	return commands
}

// samples returns the commands of the destination document's samples, by name.
func samples(t *testing.T) map[string][]kmq.Command {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "conformance", "device-mode.json"))
	require.NoError(t, err)
	var all []struct {
		Name    string
		Message json.RawMessage
	}
	require.NoError(t, json.Unmarshal(data, &all))
	byName := make(map[string][]kmq.Command)
	for _, sample := range all {
		message, err := kissmetrics.ParseMessage(sample.Message)
		require.NoError(t, err)
		byName[sample.Name] = commands(t, message)
	}
	require.Len(t, byName, 4)
	return byName
}

func TestEveryCommandArrives(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	sample := samples(t)
	order := commands(t, kissmetrics.Track{
		Event: "Order Completed",
		Properties: kissmetrics.Properties{
			"revenue": 25.5, "gift": true,
			"products": []kissmetrics.Properties{{"sku": "MUG-1"}, {"sku": "TEE-4"}},
		},
		Timestamp: time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC),
	})
	group := commands(t, kissmetrics.Group{GroupID: "g", Traits: kissmetrics.Properties{"seats": 3}})
	site.page(t, "/", func(*http.Request) content {
		return content{before: append(sample["page"], sample["track"]...), after: append(order, group...)}
	})
	site.page(t, "/user", func(*http.Request) content {
		return content{after: append(sample["identify"], sample["alias"]...)}
	})

	tab.open(t, site.url+"/")
	visitor := anonymousID(t, tab)
	type params = map[string]string
	want := []request{
		{"/e", params{"_n": "Viewed home page", "path": "path", "url": "url", "title": "title", "search": "search", "referrer": "referrer"}},
		{"/e", params{"_n": "Track me", "category": "category", "label": "label", "value": "value"}},
		{"/e", params{"_n": "Order Completed", "revenue": "25.5", "Billing Amount": "25.5", "gift": "true", "_t": "1772452800", "_d": "1"}},
		{"/s", params{"sku": "MUG-1", "_t": "1772452801", "_d": "1"}},
		{"/s", params{"sku": "TEE-4", "_t": "1772452802", "_d": "1"}},
		{"/s", params{"Group - id": "g", "Group - seats": "3"}},
	}
	assert.ElementsMatch(t, want, site.requests(t, len(want), visitor))

	// A command that comes after the script is carried out at once.
	late, err := json.Marshal(kmq.Command{Kind: kmq.KindRecord, Event: "Clicked"})
	require.NoError(t, err)
	evaluate[chromedp.Void](t, tab, "_kmq.push("+string(late)+")")
	want = append(want, request{"/e", params{"_n": "Clicked"}})
	assert.ElementsMatch(t, want, site.requests(t, len(want), visitor))

	tab.open(t, site.url+"/user")
	want = append(want,
		request{"/a", params{"_n": "my-userID"}}, // the script joins the visitor to the user
		request{"/s", params{"_p": "my-userID", "name": "Tintin", "city": "Brussels", "country": "Belgium", "email": "tintin@herge.com"}},
		request{"/a", params{"_p": "userId", "_n": "my-new-userID"}},
	)
	assert.ElementsMatch(t, want, site.requests(t, len(want), visitor))

	assert.Empty(t, site.tracking.Ignored())
	assert.Equal(t, []string{"TEE-4"}, []string{site.tracking.Properties("my-userID")["sku"]})
	assert.Empty(t, tab.console())
}

// hostile are texts that are meant to become code, or to get lost.
var hostile = []string{
	`</script><script>window.pwned=1</script>`,
	`</ScRiPt >`,
	`<!--<script>`,
	`--></script>`,
	`]]>`,
	`<img src=x onerror="window.pwned=1">`,
	`"]);window.pwned=1;//`,
	`'];window.pwned=1;//`,
	`\"]);window.pwned=1;//`,
	"`${window.pwned=1}`",
	`{{.}}`,
	`&lt;/script&gt;&quot;&#34;`,
	"line\u2028separator\u2029end",
	"tab\tnew\r\nline",
	"nul\x00bell\a",
	"\ufeffbom",
	"\u202eright to left",
	"__proto__",
	"constructor",
	"toString",
	"hasOwnProperty",
	"a=b&c=d#e?f;g%20h+i",
	"日本語 é 😀",
	"invalid \xff UTF-8",
	"0",
	"true",
}

func TestHostileTextsArrive(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	var hostileCommands []kmq.Command
	var want []request
	for n, text := range hostile {
		list := fmt.Sprint("list ", n) // a property has one value a second
		sent := strings.ToValidUTF8(text, "\uFFFD")
		hostileCommands = append(hostileCommands, commands(t, kissmetrics.Track{
			Event: text, Properties: kissmetrics.Properties{text: text, list: []string{text}},
		})...)
		want = append(want, request{"/e", map[string]string{"_n": sent, sent: sent, list: sent}})
	}
	half := len(hostileCommands) / 2
	site.page(t, "/", func(*http.Request) content {
		return content{before: hostileCommands[:half], after: hostileCommands[half:]}
	})

	tab.open(t, site.url)

	assert.ElementsMatch(t, want, site.requests(t, len(want), anonymousID(t, tab)))
	assert.Equal(t, "undefined", evaluate[string](t, tab, "typeof window.pwned"))
	assert.Equal(t, 5, evaluate[int](t, tab, "document.scripts.length"), "two of commands, three of the snippet")
	assert.Equal(t, "", evaluate[string](t, tab, "document.body.innerText.trim()"), "nothing got out of a script")
	assert.Empty(t, site.tracking.Ignored())
	assert.Empty(t, tab.console())
}

// A hostile identity is one person, and no other.
func TestHostileIdentities(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/{n}", func(r *http.Request) content {
		var n int
		_, err := fmt.Sscan(r.PathValue("n"), &n)
		assert.NoError(t, err)
		return content{before: commands(t, kissmetrics.Identify{UserID: hostile[n], Traits: kissmetrics.Properties{"n": n}})}
	})
	site.page(t, "/whoami", func(r *http.Request) content {
		return content{html: template.HTML(template.HTMLEscapeString(kmq.FromContext(r.Context()).UserID)), noSnippet: true}
	})
	tested := 0
	for n, id := range hostile {
		identify, _, err := kmq.Commands(kissmetrics.Identify{UserID: id}, kmq.Options{})
		if err != nil || len(identify) == 0 {
			continue // not UTF-8, or an identity that many share
		}
		id = identify[0].ID // without the blanks around it
		tab.open(t, fmt.Sprint(site.url, "/", n))
		require.Eventually(t, func() bool { return site.tracking.Properties(id)["n"] == fmt.Sprint(n) }, 20*time.Second, 10*time.Millisecond, id)
		if !strings.ContainsAny(id, "\x00\a\t\r\n") {
			tab.open(t, site.url+"/whoami")
			assert.Equal(t, strings.TrimSpace(id), strings.TrimSpace(evaluate[string](t, tab, "document.body.textContent")))
		}
		tested++
	}
	assert.Greater(t, tested, 20)
	assert.Empty(t, site.tracking.Ignored())
	assert.Empty(t, tab.console())
}

// What the queue of the page holds is what the commands say, and numbers and
// booleans are numbers and booleans.
func TestTypesStay(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	want := commands(t, kissmetrics.Track{Event: "E", Properties: kissmetrics.Properties{
		"n": -1.25, "b": true, "s": "1", "id": uint64(18446744073709551615), "safe": int64(9007199254740991), "__proto__": "own",
		"when": time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC), "small": 0.000001, "large": 123456789012345680000.0,
	}})
	site.page(t, "/", func(*http.Request) content { return content{before: want, noSnippet: true} })

	tab.open(t, site.url)

	data, err := json.Marshal(want)
	require.NoError(t, err)
	assert.JSONEq(t, string(data), evaluate[string](t, tab, "JSON.stringify(_kmq)"))
	types := evaluate[map[string]string](t, tab, `Object.fromEntries(Object.entries(_kmq[0][2]).map(([k, v]) => ["is " + k, typeof v + " " + v]))`)
	assert.Equal(t, map[string]string{
		"is n": "number -1.25", "is b": "boolean true", "is s": "string 1", "is id": "string 18446744073709551615",
		"is safe": "number 9007199254740991", "is __proto__": "string own", "is when": "number 1772452800",
		"is small": "number 0.000001", "is large": "number 123456789012345680000",
	}, types)
	assert.Empty(t, tab.console())
}

// The policy of these tests is in force, and they would see what breaks it.
func TestPolicyIsStrict(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	site.page(t, "/", func(*http.Request) content {
		return content{
			before:     []kmq.Command{{Kind: kmq.KindRecord, Event: "E"}},
			html:       `<p onclick="window.pwned=1">x</p>`,
			wrongNonce: true,
		}
	})

	tab.open(t, site.url)

	assert.Equal(t, "undefined", evaluate[string](t, tab, "typeof _kmq"))
	require.Eventually(t, func() bool { return len(tab.console()) >= 4 }, 20*time.Second, 10*time.Millisecond)
	for _, line := range tab.console() {
		assert.Contains(t, line, "Content Security Policy")
	}
	assert.Empty(t, site.tracking.Requests())
}

func TestBeaconIsLoaded(t *testing.T) {
	t.Parallel()
	tab, site := newTab(t), newSite(t)
	beacon, err := kmq.Beacon(kissmetrics.Record{
		Kind: kissmetrics.KindEvent, Person: "ada+1@example.com", Name: "Viewed E-mail",
		Properties: []kissmetrics.Property{{Name: "Campaign", Value: `"><script>&copy`}},
	}, kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(site.tracking.URL))
	require.NoError(t, err)
	site.page(t, "/", func(*http.Request) content { return content{html: beacon, noSnippet: true} })

	tab.open(t, site.url)

	want := []request{{"/e", map[string]string{"_p": "ada+1@example.com", "_n": "Viewed E-mail", "Campaign": `"><script>&copy`}}}
	assert.Equal(t, want, site.requests(t, 1, ""))
	assert.True(t, evaluate[bool](t, tab, "document.images.length === 1 && document.images[0].naturalWidth === 1"))
	assert.Empty(t, tab.console())
}
