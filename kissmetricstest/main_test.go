package kissmetricstest_test

import (
	"context"
	"image/gif"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(second int64) time.Time { return time.Unix(second, 0).UTC() }

// newHTTPClient returns a client with connections of its own.
func newHTTPClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// newRequest returns a request for a target such as "/e?_k=key", with the query
// as a form if the method is POST.
func newRequest(ctx context.Context, t testing.TB, method, baseURL, target string) *http.Request {
	t.Helper()
	var body io.Reader
	path, query, _ := strings.Cut(target, "?")
	if method == http.MethodPost {
		target, body = path, strings.NewReader(query)
	}
	request, err := http.NewRequestWithContext(ctx, method, baseURL+target, body)
	require.NoError(t, err)
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request
}

// answer is what a client made of an answer.
type answer struct {
	status int
	header http.Header
	body   string
}

func do(client *http.Client, request *http.Request) (answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// get makes a GET that is to be answered somehow.
func get(t testing.TB, client *http.Client, server *kissmetricstest.Server, target string) answer {
	t.Helper()
	got, err := do(client, newRequest(t.Context(), t, http.MethodGet, server.URL, target))
	require.NoError(t, err)
	return got
}

// requirePicture requires the answer of the tracking API: 200 and a picture of
// one pixel.
func requirePicture(t testing.TB, got answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "image/gif", got.header.Get("Content-Type"))
	picture, err := gif.Decode(strings.NewReader(got.body))
	require.NoError(t, err)
	require.Equal(t, 1, picture.Bounds().Dx())
	require.Equal(t, 1, picture.Bounds().Dy())
}

// drop is an Ignored without its request.
type drop struct {
	reason   kissmetricstest.Reason
	property string
}

// warnings returns what the server warned of, in the form of drops.
func warnings(server *kissmetricstest.Server) []drop {
	var all []drop
	for _, warning := range server.Warnings() {
		all = append(all, drop{warning.Reason, warning.Parameter})
	}
	return all
}

func drops(server *kissmetricstest.Server) []drop {
	var all []drop
	for _, ignored := range server.Ignored() {
		all = append(all, drop{ignored.Reason, ignored.Property})
	}
	return all
}

// event is short for an event of which the second counts from the first.
func event(name string, after int64, properties map[string]string) kissmetricstest.Event {
	if properties == nil {
		properties = map[string]string{}
	}
	return kissmetricstest.Event{Name: name, Time: at(second + after), Properties: properties}
}

// A rule is what Kissmetrics is to make of some requests: what it then knows of
// the person "ann", what it has dropped, and what it may have misunderstood.
type rule struct {
	name       string
	options    []kissmetricstest.Option
	requests   []string
	events     []kissmetricstest.Event
	properties map[string]string
	ignored    []drop
	warned     []drop
}

// run sends the requests of each rule, once by GET and once by POST.
func run(t *testing.T, rules []rule) {
	t.Helper()
	for _, rule := range rules {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(rule.name+" by "+method, func(t *testing.T) {
				t.Parallel()
				server, client := kissmetricstest.NewServer(t, rule.options...), newHTTPClient(t)
				for _, target := range rule.requests {
					got, err := do(client, newRequest(t.Context(), t, method, server.URL, target))
					require.NoError(t, err)
					requirePicture(t, got)
				}
				assert.Equal(t, rule.events, server.Events("ann"))
				if rule.properties == nil {
					assert.Empty(t, server.Properties("ann"))
				} else {
					assert.Equal(t, rule.properties, server.Properties("ann"))
				}
				assert.Equal(t, rule.ignored, drops(server))
				assert.Equal(t, rule.warned, warnings(server))
				assert.Len(t, server.Requests(), len(rule.requests))
			})
		}
	}
}
