package collect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// caused is an error whose text needs no receiver, but whose cause does.
type caused struct{ cause error }

func (*caused) Error() string   { return "a constant text" }
func (c *caused) Unwrap() error { return c.cause }

// curious is an error that panics when it is compared with another, or asked to be one.
type curious struct{}

func (curious) Error() string { return "curious" }
func (curious) Is(error) bool { panic("is") }

type demanding struct{}

func (demanding) Error() string { return "demanding" }
func (demanding) As(any) bool   { panic("as") }

// TestAnErrorWhoseMethodsPanic: it is as good as a panic of the sender, wherever in the
// error it is.
func TestAnErrorWhoseMethodsPanic(t *testing.T) {
	for _, inner := range []error{(*caused)(nil), curious{}, demanding{}, (*kissmetrics.DeliveryError)(nil)} {
		for name, err := range map[string]error{
			"alone":          inner,
			"wrapped":        fmt.Errorf("around: %w", inner),
			"joined":         errors.Join(io.EOF, inner),
			"a cause":        &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Reason: "known", Err: inner},
			"a refusal's":    &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Reason: "known", Err: inner},
			"a full queue's": fmt.Errorf("%w: %w", kissmetrics.ErrQueueFull, inner),
		} {
			for path, body := range map[string]string{
				"/v1/track": track, "/v1/batch": batch(track, event("B")), "/v1/import": batch(bare("A"), bare("B")),
			} {
				t.Run(fmt.Sprintf("%T/%s%s", inner, name, path), func(t *testing.T) {
					var r receiver
					s := &sender{next: &r.recorder, fail: func([]kissmetrics.Record) error { return err }}
					r.with(t, s)
					a := r.do(t, path, body)
					assert.Equal(t, http.StatusServiceUnavailable, a.status, a.text)
					require.NotEmpty(t, r.results)
					require.ErrorIs(t, r.results[0].Err, kissmetrics.ErrSenderPanicked)
					s.fail = nil
					assert.Equal(t, http.StatusOK, r.do(t, path, body).status, "nothing stays under way")
				})
			}
		}
	}
}

// panicking is a handler of a log that panics, and so does what is made of it.
type panicking struct{}

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("handle") }
func (p panicking) WithAttrs([]slog.Attr) slog.Handler      { return p }
func (panicking) WithGroup(string) slog.Handler             { panic("group") }

func TestALogThatPanicsCostsNoAnswer(t *testing.T) {
	var r receiver
	s := &sender{next: &r.recorder, fail: func([]kissmetrics.Record) error { return io.EOF }}
	r.with(t, s, collect.WithLogger(slog.New(panicking{})), collect.WithSources(collect.Source{Name: "shop", WriteKeys: []string{"key of shop"}}))
	for _, key := range []string{writeKey, "key of shop", "wrong"} {
		a := r.do(t, "/v1/track", track, func(r *http.Request) { r.SetBasicAuth(key, "") })
		assert.Equal(t, map[bool]int{true: 401, false: 503}[key == "wrong"], a.status, a.text)
	}
}

// A handler is called by others than net/http, too, who may give it no body at all.
func TestARequestWithoutABody(t *testing.T) {
	r := newReceiver(t, collect.WithPublicURL("https://collect.example"))
	for _, path := range []string{"/v1/track", "/v1/batch", "/v1/m", "/sourceConfig", "/nowhere"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions, ""} {
			request, err := http.NewRequestWithContext(t.Context(), method, "http://collect.example"+path+"?writeKey="+writeKey, nil)
			require.NoError(t, err)
			require.Nil(t, request.Body)
			w := httptest.NewRecorder()
			assert.NotPanics(t, func() { r.ServeHTTP(w, request) }, method+path)
			if method == http.MethodPost && path == "/v1/track" {
				assert.Equal(t, http.StatusBadRequest, w.Code)
			}
		}
	}
}

func TestLimitsAsLargeAsNumbersAre(t *testing.T) {
	r := newReceiver(t, collect.WithLimits(math.MaxInt, math.MaxInt))
	for _, body := range []string{batch(track), zipped(t, batch(event("B")))} {
		assert.Equal(t, http.StatusOK, r.do(t, "/v1/batch", body).status)
	}
	assert.Len(t, r.recorder.Records(), 2)
	assert.Equal(t, http.StatusBadRequest, r.do(t, "/v1/batch", strings.Repeat(" ", 100)).status)
}
