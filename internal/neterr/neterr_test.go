package neterr

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inURL returns an error as net/http wraps it.
func inURL(err error) error {
	return &url.Error{Op: "Get", URL: "https://trk.example/e?_k=secret", Err: err}
}

func TestReasonNamesTheKind(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"no such host":       {&net.DNSError{IsNotFound: true}, "no such host"},
		"a resolver's fault": {&net.DNSError{IsTimeout: true}, "the host name could not be resolved"},
		"an authority":       {x509.UnknownAuthorityError{}, "TLS failed"},
		"a wrong scheme":     {http.ErrSchemeMismatch, "TLS failed"},
		"a timeout":          {os.ErrDeadlineExceeded, "timeout"},
		"a deadline":         {context.DeadlineExceeded, "timeout"},
		"canceled":           {context.Canceled, "canceled"},
		"refused":            {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connection refused"},
		"reset":              {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connection reset"},
		"a broken pipe":      {syscall.EPIPE, "connection reset"},
		"refused, Windows":   {&net.OpError{Op: "dial", Err: os.NewSyscallError("connectex", syscall.Errno(10061))}, "connection refused"},
		"reset, Windows":     {&net.OpError{Op: "read", Err: os.NewSyscallError("wsarecv", syscall.Errno(10054))}, "connection reset"},
		"aborted, Windows":   {&net.OpError{Op: "write", Err: os.NewSyscallError("wsasend", syscall.Errno(10053))}, "connection reset"},
		"closed early":       {io.ErrUnexpectedEOF, "connection closed before the answer"},
		"HTTP/1":             {errors.New("http2: … note that the frame header looked like an HTTP/1.1 header"), "an answer of HTTP/1 where HTTP/2 was agreed on"},
		"HTTP/2":             {errors.New("http2: client connection lost"), "HTTP/2 failed"},
		"not HTTP/2":         {errors.New("secret of http2: "), "request failed"},
		"anything else":      {errors.New("secret"), "request failed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, Reason(inURL(test.err))) })
	}
}

// A TLS proxy may agree to HTTP/2 for a server that does not speak it.
func TestReasonNamesAnAnswerOfAnotherProtocol(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{NextProtos: []string{"h2"}} //nolint:gosec // a test's
	server.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		},
	}
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	transport, ok := client.Transport.(*http.Transport)
	require.True(t, ok)
	transport.ForceAttemptHTTP2 = true
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"?_k=secret", nil)
	require.NoError(t, err)

	response, err := client.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	require.Error(t, err)
	assert.Contains(t, []string{
		"an answer of HTTP/1 where HTTP/2 was agreed on",
		"HTTP/2 failed", // where the answer came before the request
	}, Reason(err))
}

func TestWrapShowsEverythingButTheURL(t *testing.T) {
	cause := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	err := Wrap(fmt.Errorf("outer: %w", inURL(cause)), "connection refused")

	assert.EqualError(t, err, "connection refused")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	found, ok := errors.AsType[*net.OpError](err)
	assert.True(t, ok)
	assert.Same(t, cause, found)
	_, ok = errors.AsType[*url.Error](err)
	assert.False(t, ok)
}

func TestWrapPassesOverNestedURLs(t *testing.T) {
	err := Wrap(inURL(inURL(io.EOF)), "connection closed")
	_, ok := errors.AsType[*url.Error](err)
	assert.False(t, ok)
	require.ErrorIs(t, err, io.EOF)
}
