package neterr

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
		"closed early":       {io.ErrUnexpectedEOF, "connection closed before the answer"},
		"anything else":      {errors.New("secret"), "request failed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, Reason(inURL(test.err))) })
	}
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
