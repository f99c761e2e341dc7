package collect_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// A broken body ends with an error, as that of a connection that is cut.
type broken struct{ error }

func (b broken) Read([]byte) (int, error) { return 0, b.error }

// cut makes the body of a request one that does not arrive as a whole.
func cut(err error) func(*http.Request) {
	return func(r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(string(content[:len(content)/2])), broken{err}))
	}
}

func TestABodyThatIsCutOffOnItsWayIsAskedForAgain(t *testing.T) {
	r := newReceiver(t)
	for _, body := range []string{batch(track), zipped(t, batch(track)), "{}", ""} {
		for _, err := range []error{io.ErrUnexpectedEOF, errors.New("malformed chunked encoding")} {
			a := r.do(t, "/v1/batch", body, cut(err))
			assert.Equal(t, http.StatusServiceUnavailable, a.status, a.text)
			assert.Equal(t, "incomplete_body", a.body.Code)
			assert.Equal(t, "1", a.header.Get("Retry-After"))
		}
	}
	whole := zipped(t, batch(track))
	for _, body := range []string{whole[:len(whole)-4], whole[:2], whole + "x", "\x1f\x8b"} {
		assert.Equal(t, http.StatusBadRequest, r.do(t, "/v1/batch", body).status, "what arrived as it was sent is no better the next time")
	}
	assert.Empty(t, r.recorder.Records())
}

// Of a request that is refused as a whole, nobody else tells the owner of the server:
// many SDKs say nothing either.
func TestRefusedRequestsAreLogged(t *testing.T) {
	for name, test := range map[string]struct {
		path, body string
		change     func(*http.Request)
		want       string
	}{
		"a wrong key":             {"/v1/batch", batch(track), func(r *http.Request) { r.SetBasicAuth("s3cret", "") }, "status=401 code=invalid_write_key"},
		"a wrong key in the body": {"/v1/batch", `{"writeKey":"s3cret","batch":[]}`, func(r *http.Request) { r.Header.Del("Authorization") }, "status=401 code=invalid_write_key"},
		"one of a configuration":  {"/v1/projects/s3cret/settings", "", func(r *http.Request) { r.Method = http.MethodGet }, "status=401 code=invalid_write_key"},
		"another origin":          {"/v1/batch", batch(track), set("Origin", "https://user:s3cret@www.shop.example"), "origin=https://www.shop.example"},
		"a page of no origin":     {"/v1/batch", batch(track), set("Origin", "null"), "origin=null"},
		"an origin that is none":  {"/v1/batch", batch(track), set("Origin", "s3cret"), "origin=…"},
		"no JSON":                 {"/v1/batch", "s3cret", nil, "status=400 code=invalid_body"},
		"no batch":                {"/v1/batch", `{"s3cret":1}`, nil, "status=400 code=invalid_body"},
		"another encoding":        {"/v1/batch", "\x0b\x02s3cret", set("Content-Encoding", "br"), "status=415 code=unsupported_encoding"},
		"too large":               {"/v1/batch", `{"batch":[` + strings.Repeat(" ", 10_000), nil, "status=413 code=too_large"},
		"cut off on its way":      {"/v1/batch", batch(track), cut(errors.New("s3cret")), "status=503 code=incomplete_body"},
		"another path":            {"/s3cret/batch", batch(track), nil, "path=…/batch"},
		"another path, unknown":   {"/v1/s3cret", batch(track), nil, "path=…/…"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				r := newReceiver(t, collect.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), collect.WithLimits(5000, 10),
					collect.WithPublicURL("https://collect.shop.example"))
				change := func(r *http.Request) {
					if test.change != nil {
						test.change(r)
					}
				}
				for range 3 {
					assert.False(t, *r.do(t, test.path, test.body, change).body.Success)
				}
				assert.Equal(t, 1, strings.Count(log.String(), "WARN"), "once a minute: %s", log.String())
				assert.Contains(t, log.String(), test.want)
				time.Sleep(time.Minute)
				r.do(t, test.path, test.body, change)
				assert.Equal(t, 2, strings.Count(log.String(), "WARN"))
				assert.NotContains(t, log.String(), "s3cret")
			})
		})
	}
}

func TestWhatIsLookedForByChanceIsNotLogged(t *testing.T) {
	var log strings.Builder
	r := newReceiver(t, collect.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for _, path := range []string{"/", "/favicon.ico", "/v1/batch"} {
		r.do(t, path, "", func(r *http.Request) { r.Method = http.MethodGet })
	}
	r.do(t, "/v1/m", "{}")
	assert.Empty(t, log.String())
}

// An SDK for pages that gives its key in the body alone does not look at the status. It
// repeats what its browser says has failed, and a browser says so where the answer is not
// for the page.
func TestAPageThatDoesNotLookAtTheAnswerIsNotShownWhatItShouldRepeat(t *testing.T) {
	inBody := func(r *http.Request) { r.Header.Del("Authorization") }
	inQuery := func(r *http.Request) { inBody(r); r.URL.RawQuery = "writeKey=" + writeKey }
	withKey := `{"writeKey":"` + writeKey + `",` + event("E")[1:]
	full := kissmetrics.ErrQueueFull
	for name, test := range map[string]struct {
		err     error
		body    string
		where   func(*http.Request)
		status  int
		isShown bool
	}{
		"a full queue, and the key in the body":   {full, withKey, inBody, 429, false},
		"an outage, and the key in the body":      {kissmetrics.ErrClosed, withKey, inBody, 503, false},
		"a full queue, and the key in the header": {full, withKey, func(*http.Request) {}, 429, true},
		"a full queue, and the key in the query":  {full, withKey, inQuery, 429, true},
		"a success":                               {nil, withKey, inBody, 200, true},
		"a bad message":                           {nil, `{"writeKey":"` + writeKey + `"}`, inBody, 400, true},
		"a wrong key":                             {nil, track, inBody, 401, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, collect.WithOrigins(shop))
			r.recorder.FailWith(test.err)
			a := r.do(t, "/v1/track", test.body, test.where, set("Origin", shop))
			assert.Equal(t, test.status, a.status, a.text)
			for _, header := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"} {
				assert.Equal(t, test.isShown, a.header.Get(header) != "", header)
			}
			assert.Equal(t, "Origin", a.header.Get("Vary"))
		})
	}
}

func TestAnAnswerListsWhatWasAdjustedUpToABound(t *testing.T) {
	var properties []string
	for i := range 150 {
		properties = append(properties, fmt.Sprintf(`"p%03d":NaN`, i))
	}
	id := strings.Repeat("m", 150)
	message := `{"type":"track","messageId":"` + id + `","userId":"u","event":"E","properties":{` + strings.Join(properties, ",") + `},` + at + `}`
	for path, body := range map[string]string{"/v1/batch": batch(event("A"), message), "/v1/track": message} {
		r := newReceiver(t)
		for range 2 { // a repeat is answered with the same
			a := r.do(t, path, body)
			assert.True(t, *a.body.Success)
			require.Len(t, a.body.Adjusted, 1)
			adjusted := a.body.Adjusted[0]
			assert.Equal(t, strings.Count(body, `"type"`)-1, adjusted.Index)
			assert.Equal(t, id[:100], adjusted.MessageID)
			require.Len(t, adjusted.Adjustments, 100)
			assert.Equal(t, struct{ Field, Property, Kind string }{"property", "p099", "value dropped"}, adjusted.Adjustments[99])
		}
	}
}
