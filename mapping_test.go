package kissmetrics_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// wireRequest is a request as the conformance files write one.
type wireRequest struct {
	Path   string            `json:"path"`
	Params map[string]string `json:"params"`
}

// conformanceCase is one line of a conformance file.
type conformanceCase struct {
	Name   string `json:"name"`
	Config struct {
		PrefixProperties bool `json:"prefixProperties"`
	} `json:"config"`
	Message   json.RawMessage `json:"message"`
	Want      []wireRequest   `json:"want"`
	WantError string          `json:"wantError"`
	Adjusted  []string        `json:"adjusted"`
}

// testNow is the time of a call, where a case says "<now>". No case lies ahead of
// it.
var testNow = time.Date(2027, 1, 24, 12, 0, 0, 500, time.UTC)

// conformance returns the cases of the named file.
func conformance(t testing.TB, name string) []conformanceCase {
	t.Helper()
	data, err := os.ReadFile("testdata/conformance/" + name)
	require.NoError(t, err)
	var cases []conformanceCase
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data))
	for lines.Scan() {
		var c conformanceCase
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		for _, r := range c.Want {
			if r.Params["_t"] == "<now>" {
				r.Params["_t"] = strconv.FormatInt(testNow.Unix(), 10)
			}
		}
		cases = append(cases, c)
	}
	require.NoError(t, lines.Err())
	return cases
}

// allConformance returns the cases of both files, and checks that none is gone.
func allConformance(t testing.TB) []conformanceCase {
	t.Helper()
	cloud, beyond := conformance(t, "rudderstack-cloud.jsonl"), conformance(t, "beyond-rudderstack.jsonl")
	require.Len(t, cloud, 400)
	require.Len(t, beyond, 46)
	return append(cloud, beyond...)
}

// requireField requires that err is a ValidationError of the given field.
func requireField(t testing.TB, field string, err error) {
	t.Helper()
	invalid, ok := errors.AsType[*kissmetrics.ValidationError](err)
	require.True(t, ok, "%v is no ValidationError", err)
	require.Equal(t, field, invalid.Field, "%v", err)
}

// realNow is the time of a call in real-world.jsonl.
var realNow = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// TestConformanceAsPipeline runs the conformance files as a pipeline would:
// ParseMessage, Transform, the parameters of each record. RudderStack's cases hold
// in strict mode and out of it, and so do those beyond, except that only strict
// mode refuses what can be adjusted.
func TestConformanceAsPipeline(t *testing.T) {
	for _, strict := range []bool{true, false} {
		for _, c := range allConformance(t) {
			t.Run(fmt.Sprintf("%s, strict %t", c.Name, strict), func(t *testing.T) {
				got, adjusted, err := c.transform(testNow, strict)
				switch {
				case err != nil:
					requireField(t, c.WantError, err)
					assert.Empty(t, got)
				case c.WantError != "":
					require.False(t, strict, "it is refused for %s", c.WantError)
					assert.Contains(t, adjustedFields(adjusted), c.WantError)
				default:
					assert.Equal(t, c.Want, got)
				}
			})
		}
	}
}

// TestRealWorld runs what SDKs, shops and warehouses really send: nothing of it
// loses an event that says who and what.
func TestRealWorld(t *testing.T) {
	cases := conformance(t, "real-world.jsonl")
	require.Len(t, cases, 47)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, adjustments, err := c.transform(realNow, false)
			if c.WantError != "" {
				requireField(t, c.WantError, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.Want, got)
			adjusted := []string{}
			for _, a := range adjustments {
				if a.Field == "property" {
					adjusted = append(adjusted, a.Property)
				} else {
					adjusted = append(adjusted, a.Field)
				}
			}
			assert.ElementsMatch(t, c.Adjusted, adjusted)
		})
	}
}

// transform returns the requests that the message of a case becomes.
func (c *conformanceCase) transform(now time.Time, strict bool) (requests []wireRequest, adjustments []kissmetrics.Adjustment, err error) {
	options := kissmetrics.TransformOptions{Strict: strict}
	if c.Config.PrefixProperties {
		options.Prefix = kissmetrics.PrefixHyphen
	}
	message, err := kissmetrics.ParseMessage(c.Message)
	if err != nil {
		return nil, nil, err
	}
	records, adjustments, err := kissmetrics.Transform(message, now, options)
	for _, r := range records {
		request := wireRequest{r.Kind.Path(), map[string]string{"_k": "test-api-key"}}
		for name := range r.Values() {
			request.Params[name] = r.Values().Get(name)
		}
		requests = append(requests, request)
	}
	return requests, adjustments, err
}

func adjustedFields(adjustments []kissmetrics.Adjustment) (fields []string) {
	for _, a := range adjustments {
		fields = append(fields, a.Field)
	}
	return fields
}

// TestConformanceAsClient runs the conformance files as a Go caller would: by
// the method of the client that goes with the message, to a server.
func TestConformanceAsClient(t *testing.T) {
	for _, c := range allConformance(t) {
		t.Run(c.Name, func(t *testing.T) {
			message, err := kissmetrics.ParseMessage(c.Message)
			if err != nil {
				requireField(t, c.WantError, err) // there is no such Go value
				return
			}
			server := kissmetricstest.NewServer(t)
			transform := kissmetrics.TransformOptions{Strict: true}
			if c.Config.PrefixProperties {
				transform.Prefix = kissmetrics.PrefixHyphen
			}
			options := []kissmetrics.Option{kissmetrics.WithBaseURL(server.URL), kissmetrics.WithTransform(transform)}
			before := time.Now().Unix()
			err = call(t, newClient(t, options...), message)
			if c.WantError != "" {
				requireField(t, c.WantError, err)
				assert.Empty(t, server.Requests())
				return
			}
			require.NoError(t, err)
			var got []wireRequest
			for _, r := range server.Requests() {
				request := wireRequest{r.Path, make(map[string]string)}
				for name := range r.Params {
					request.Params[name] = r.Params.Get(name)
				}
				if when, _ := strconv.ParseInt(request.Params["_t"], 10, 64); when >= before && when <= time.Now().Unix() {
					request.Params["_t"] = strconv.FormatInt(testNow.Unix(), 10)
				}
				got = append(got, request)
			}
			assert.Equal(t, c.Want, got)
			for _, ignored := range server.Ignored() {
				t.Errorf("Kissmetrics would drop %q: %s", ignored.Property, ignored.Reason)
			}
		})
	}
}

// call sends a message by the client's method for it.
func call(t *testing.T, client *kissmetrics.Client, message kissmetrics.Message) error {
	switch m := message.(type) {
	case kissmetrics.Identify:
		return client.Identify(t.Context(), m)
	case kissmetrics.Page:
		return client.Page(t.Context(), m)
	case kissmetrics.Screen:
		return client.Screen(t.Context(), m)
	case kissmetrics.Track:
		return client.Track(t.Context(), m)
	case kissmetrics.Group:
		return client.Group(t.Context(), m)
	case kissmetrics.Alias:
		return client.Alias(t.Context(), m)
	}
	t.Fatalf("no method for %T", message)
	return nil
}

const testKey = "test-api-key"

// newClient returns a client with the test's API key that is closed with it.
func newClient(t testing.TB, options ...kissmetrics.Option) *kissmetrics.Client {
	t.Helper()
	client, err := kissmetrics.New(append([]kissmetrics.Option{kissmetrics.WithAPIKey(testKey)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
	return client
}

// TestDestinationDocument sends the samples of the document that describes
// RudderStack's destination, and what it promises beside them.
func TestDestinationDocument(t *testing.T) {
	identify := kissmetrics.Identify{UserID: "my-userID", Traits: kissmetrics.Properties{
		"name": "Tintin", "city": "Brussels", "country": "Belgium", "email": "tintin@herge.com",
	}}
	page := kissmetrics.Page{UserID: "my-userID", Name: "home", Properties: kissmetrics.Properties{
		"path": "path", "url": "url", "title": "title", "search": "search", "referrer": "referrer",
	}}
	track := kissmetrics.Track{UserID: "my-userID", Event: "Track me", Properties: kissmetrics.Properties{
		"category": "category", "label": "label", "value": "value",
	}}
	tests := map[string]struct {
		message kissmetrics.Message
		want    []string // path and query, less the time
	}{
		"identify": {identify, []string{"/s?_p=my-userID&city=Brussels&country=Belgium&email=tintin%40herge.com&name=Tintin"}},
		"page":     {page, []string{"/e?_n=Viewed+home+page&_p=my-userID&path=path&referrer=referrer&search=search&title=title&url=url"}},
		"track":    {track, []string{"/e?_n=Track+me&_p=my-userID&category=category&label=label&value=value"}},
		"alias":    {kissmetrics.Alias{UserID: "my-new-userID", PreviousID: "my-userID"}, []string{"/a?_n=my-new-userID&_p=my-userID"}},
		"nested objects are flattened": {
			kissmetrics.Identify{UserID: "u", Traits: kissmetrics.Properties{"a": map[string]any{"b": "c"}}},
			[]string{"/s?_p=u&a.b=c"},
		},
		"revenue is a billing amount too": {
			kissmetrics.Track{UserID: "u", Event: "Billed", Properties: kissmetrics.Properties{"revenue": 25}},
			[]string{"/e?Billing+Amount=25&_n=Billed&_p=u&revenue=25"},
		},
		"each product is sent": {
			kissmetrics.Track{UserID: "u", Event: "Ordered", Properties: kissmetrics.Properties{
				"products": []map[string]any{{"id": 1, "sku": "a"}, {"id": 2, "sku": "b"}},
			}},
			[]string{"/e?_n=Ordered&_p=u", "/s?_p=u&id=1&sku=a", "/s?_p=u&id=2&sku=b"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			records, _, err := kissmetrics.Transform(test.message, testNow, kissmetrics.TransformOptions{})
			require.NoError(t, err)
			var got []string
			for i, r := range records {
				values := r.Values()
				if r.Kind != kissmetrics.KindAlias {
					assert.Equal(t, strconv.FormatInt(testNow.Unix()+int64(i), 10), values.Get("_t"))
					assert.Equal(t, "1", values.Get("_d"))
				}
				values.Del("_t")
				values.Del("_d")
				got = append(got, r.Kind.Path()+"?"+values.Encode())
			}
			assert.Equal(t, test.want, got)
		})
	}
}
