package kissmetrics_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const secretKey, secretValue = "K3Y-s3cret", "VALUE-s3cret"

// secretive is a message that holds a secret wherever there is room for one
// that must not be told.
var secretive = kissmetrics.Track{UserID: "u", Event: "e", Timestamp: second, Properties: kissmetrics.Properties{
	"a": secretValue, "products": []any{map[string]any{"b": secretValue}},
}}

// requireNoSecret requires that a text holds nothing that must not be told.
func requireNoSecret(t testing.TB, text string) {
	t.Helper()
	for _, secret := range []string{"s3cret", "_k=", "_p=", "_k:"} {
		require.NotContains(t, text, secret)
	}
}

// requireQuiet requires that an error, in every form it may be logged in, holds
// nothing that must not be told.
func requireQuiet(t testing.TB, err error) {
	t.Helper()
	require.Error(t, err)
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Error("failed", "error", err, "wrapped", fmt.Errorf("tracking: %w", err))
	}
	for _, text := range []string{
		err.Error(), fmt.Sprintf("%v %+v %s %q", err, err, err, err), fmt.Errorf("a: %w", err).Error(), log.String(),
	} {
		requireNoSecret(t, text)
	}
	if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		requireNoSecret(t, fmt.Sprintf("%#v", failed))
		for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
			requireNoSecret(t, fmt.Sprintf("%v %+v", cause, cause))
		}
	}
}

func TestFailuresOfDeliveryTellNoSecret(t *testing.T) {
	status := func(code int, header http.Header) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), header)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, r.URL.String()) // a server that says it all back
		})
	}
	serve := func(h http.Handler) func(t *testing.T) string {
		return func(t *testing.T) string {
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			return server.URL
		}
	}
	fault := func(f kissmetricstest.Fault) func(t *testing.T) string {
		return func(t *testing.T) string {
			server := kissmetricstest.NewServer(t)
			server.FailWith(func(*http.Request) *kissmetricstest.Fault { return &f })
			return server.URL
		}
	}
	failing := func(err error) kissmetrics.Option {
		return kissmetrics.WithDoer(kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
		}))
	}
	tests := map[string]struct {
		url     func(t *testing.T) string
		options []kissmetrics.Option
		want    string
	}{
		"unknown host":   {func(*testing.T) string { return "http://no-such-host.invalid" }, nil, "delivery unavailable: "},
		"refused":        {func(t *testing.T) string { return "http://" + closedAddress(t) }, nil, "connection refused"},
		"reset":          {fault(kissmetricstest.Fault{Cut: kissmetricstest.CutReset}), nil, "connection "},
		"half an answer": {fault(kissmetricstest.Fault{Cut: kissmetricstest.CutHalf}), nil, "connection closed before the answer"},
		"timeout":        {fault(kissmetricstest.Fault{Delay: time.Hour}), []kissmetrics.Option{kissmetrics.WithTimeout(20 * time.Millisecond)}, "timeout"},
		"TLS": {func(t *testing.T) string {
			server := httptest.NewTLSServer(status(200, nil))
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			t.Cleanup(server.Close)
			return server.URL
		}, nil, "TLS failed"},
		"TLS to a server without": {func(t *testing.T) string {
			return strings.Replace(serve(status(200, nil))(t), "http:", "https:", 1)
		}, nil, "TLS failed"},
		"TLS to a server without, by http.Client": {func(t *testing.T) string {
			return strings.Replace(serve(status(200, nil))(t), "http:", "https:", 1)
		}, []kissmetrics.Option{kissmetrics.WithDoer(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}})}, "TLS failed"},
		"an answer that is not HTTP": {func(t *testing.T) string { return "http://" + echoing(t) }, nil, "request failed"},
		"redirect":                   {serve(status(302, http.Header{"Location": {"/?s3cret"}})), nil, "302 Found (redirects are not followed)"},
		"400":                        {serve(status(400, nil)), nil, "refused: 400 Bad Request (2 attempts; 0 of 2 records delivered)"},
		"403":                        {serve(status(403, nil)), nil, "403 Forbidden"},
		"500":                        {serve(status(500, nil)), nil, "500 Internal Server Error"},
		"Doer that quotes the URL": {func(*testing.T) string { return "http://example.com" },
			[]kissmetrics.Option{failing(errors.New("went wrong"))}, "request failed"},
		"Doer that wraps a url.Error": {func(*testing.T) string { return "http://example.com" },
			[]kissmetrics.Option{failing(&url.Error{Op: "Get", URL: "http://example.com?_k=" + secretKey, Err: syscall.ECONNRESET})}, "connection reset"},
		"name server that is down": {func(*testing.T) string { return "http://example.com" },
			[]kissmetrics.Option{failing(&net.DNSError{Err: "down", Name: "s3cret"})}, "could not be resolved"},
		"no such name": {func(*testing.T) string { return "http://example.com" },
			[]kissmetrics.Option{failing(&net.DNSError{IsNotFound: true, Name: "s3cret"})}, "no such host"},
		"TLS alert": {func(*testing.T) string { return "http://example.com" },
			[]kissmetrics.Option{failing(tls.AlertError(40))}, "TLS failed"},
		"Doer that says canceled": {func(*testing.T) string { return "http://example.com" },
			[]kissmetrics.Option{failing(context.Canceled)}, "unavailable: canceled"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			client, err := kissmetrics.New(append([]kissmetrics.Option{
				kissmetrics.WithAPIKey(secretKey), kissmetrics.WithBaseURL(test.url(t)), kissmetrics.WithLogger(logger),
				kissmetrics.WithBackoff(1, 1), kissmetrics.WithMaxAttempts(2), kissmetrics.WithTimeout(5 * time.Second),
			}, test.options...)...)
			require.NoError(t, err)
			defer func() { assert.NoError(t, client.Close(context.Background())) }()
			err = client.Track(t.Context(), secretive)
			requireQuiet(t, err)
			assert.ErrorContains(t, err, test.want)
			assert.Contains(t, log.String(), "an attempt failed")
			requireNoSecret(t, log.String())
		})
	}
}

// closedAddress returns an address that refuses connections.
func closedAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// echoing returns the address of a server that sends back what it is sent.
func echoing(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 512)
			n, _ := conn.Read(request)
			_, _ = conn.Write(request[:n])
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		<-done
	})
	return listener.Addr().String()
}

func TestCancelingTellsNoSecret(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		cancel()
		return &kissmetricstest.Fault{Delay: time.Hour}
	})
	err := newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1)).Track(ctx, secretive)
	require.ErrorIs(t, err, context.Canceled)
	requireQuiet(t, err)
	assert.Equal(t, kissmetrics.FailureCanceled, requireDelivery(t, err).Kind)
}

func TestValidationTellsNoSecret(t *testing.T) {
	for _, m := range []kissmetrics.Message{
		kissmetrics.Track{UserID: "u\xff" + secretValue, Event: strings.Repeat(secretValue, 50), Timestamp: time.Unix(1, 0)},
		kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"a": strings.Repeat(secretValue, 1000), "b": secretValue, "B": "other " + secretValue}},
		kissmetrics.Alias{UserID: secretValue, PreviousID: secretValue},
	} {
		requireQuiet(t, newClient(t).SendMessage(t.Context(), m))
	}
	for _, data := range []string{
		`{"type":"` + secretValue + `"}`, `{"type":"track","userId":"` + secretValue + `"} ` + secretValue, `{"` + secretValue, `"` + secretValue + `"`,
	} {
		_, err := kissmetrics.ParseMessage([]byte(data))
		requireQuiet(t, err)
	}
}

func TestPrintingAClientTellsNoKey(t *testing.T) {
	client, err := kissmetrics.New(kissmetrics.WithAPIKey(secretKey))
	require.NoError(t, err)
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(secretKey))
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		requireNoSecret(t, fmt.Sprintf(verb, client))
		requireNoSecret(t, fmt.Sprintf(verb, sender))
		requireNoSecret(t, fmt.Sprintf(verb, *sender))
	}
}

func TestTheCauseIsFound(t *testing.T) {
	want := errors.New("my own")
	doer := kissmetrics.DoerFunc(func(*http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: "u", Err: fmt.Errorf("wrapped: %w", errors.Join(want, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}))}
	})
	err := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithMaxAttempts(1)).Track(t.Context(), ok)
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, isOp := errors.AsType[*net.OpError](err)
	assert.True(t, isOp)
	timeout, isNet := errors.AsType[net.Error](err)
	assert.True(t, isNet)
	assert.IsType(t, &net.OpError{}, timeout)
	_, isURL := errors.AsType[*url.Error](err)
	assert.False(t, isURL)

	// A *url.Error within holds the URL as well.
	doer = func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("%w: %w", want, &url.Error{Op: "Get", URL: r.URL.String(), Err: &url.Error{Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}})
	}
	err = newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithMaxAttempts(1)).Track(t.Context(), ok)
	require.ErrorIs(t, err, want)
	timeout, isNet = errors.AsType[net.Error](err)
	assert.True(t, isNet)
	assert.IsType(t, &net.OpError{}, timeout)
	_, isURL = errors.AsType[*url.Error](err)
	assert.False(t, isURL)
	_, isDNS := errors.AsType[*net.DNSError](err)
	assert.False(t, isDNS)
	assert.Equal(t, "unavailable refused canceled FailureKind(9)", fmt.Sprint(kissmetrics.FailureUnavailable, " ", kissmetrics.FailureRefused, " ", kissmetrics.FailureCanceled, " ", kissmetrics.FailureKind(9)))
}
