package kissmetrics_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestHugeBodyIsNotReadWhole(t *testing.T) {
	var written atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range 100 {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	require.NoError(t, newClient(t, kissmetrics.WithBaseURL(server.URL)).Track(t.Context(), ok))
	server.Close() // waits for the handler
	assert.Less(t, written.Load(), int64(50<<20))
}

func TestEndlessBodyDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doer := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: endless{r.Context()}}, nil
		})
		client := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithTimeout(10*time.Second))
		start := time.Now()
		require.NoError(t, client.Track(t.Context(), ok), "the answer was yes")
		assert.Equal(t, 10*time.Second, time.Since(start))
	})
}

// endless is a body that never says anything, and never ends but with its
// request.
type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

// TestSwitchingProtocolsDoesNotHang asks a server that answers 101 and then
// says nothing, on a connection that it leaves open.
func TestSwitchingProtocolsDoesNotHang(t *testing.T) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(gone)
		conn, _, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
	}))
	defer server.Close()
	answered := make(chan error, 1)
	client := newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1))
	go func() { answered <- client.Track(t.Context(), ok) }()
	select {
	case err := <-answered:
		failed := requireDelivery(t, err)
		assert.Equal(t, kissmetrics.FailureRefused, failed.Kind)
		assert.Equal(t, http.StatusSwitchingProtocols, failed.StatusCode)
	case <-time.After(30 * time.Second):
		server.CloseClientConnections() // or the client would wait for good
		t.Fatal("the client hangs")
	}
	<-gone // the connection is closed, not kept
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := kissmetricstest.NewServer(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/e", status))
		for _, options := range [][]kissmetrics.Option{
			{kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1)},
			{kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1), kissmetrics.WithDoer(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}})},
		} {
			failed := requireDelivery(t, newClient(t, options...).Track(t.Context(), ok))
			assert.Equal(t, kissmetrics.FailureRefused, failed.Kind)
			assert.Equal(t, status, failed.StatusCode)
		}
		server.Close()
	}
	assert.Empty(t, elsewhere.Requests())
}

func TestDoersThatMisbehave(t *testing.T) {
	doers := map[string]kissmetrics.DoerFunc{
		"panics":                 func(*http.Request) (*http.Response, error) { panic("s3cret") },
		"returns nothing":        func(*http.Request) (*http.Response, error) { return nil, nil },
		"a nil pointer as error": func(*http.Request) (*http.Response, error) { return nil, (*net.OpError)(nil) },
		"a nil pointer within": func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("wrapped: %w", (*net.DNSError)(nil))
		},
		"a nil *url.Error": func(*http.Request) (*http.Response, error) { return nil, (*url.Error)(nil) },
		"panicking body": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(panickingReader{})}, nil
		},
	}
	for name, doer := range doers {
		t.Run(name, func(t *testing.T) {
			err := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithBackoff(1, 1)).Track(t.Context(), ok)
			assert.Equal(t, kissmetrics.FailureUnavailable, requireDelivery(t, err).Kind)
			assert.ErrorContains(t, err, "the Doer")
			assert.NotErrorIs(t, err, context.Canceled) // nor does it panic
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
	t.Run("no body", func(t *testing.T) {
		doer := kissmetrics.DoerFunc(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: http.StatusOK}, nil })
		assert.NoError(t, newClient(t, kissmetrics.WithDoer(doer)).Track(t.Context(), ok))
	})
}

type panickingReader struct{}

// TestResponseBesideAnError: the error counts, and the body is closed all the
// same.
func TestResponseBesideAnError(t *testing.T) {
	closed := false
	doer := kissmetrics.DoerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: closing{&closed}}, io.EOF
	})
	err := newClient(t, kissmetrics.WithDoer(doer), kissmetrics.WithMaxAttempts(1)).Track(t.Context(), ok)
	require.ErrorIs(t, err, io.EOF)
	assert.True(t, closed)
}

// closing is an empty body that notes that it was closed.
type closing struct{ closed *bool }

func (c closing) Close() error {
	*c.closed = true
	return nil
}
