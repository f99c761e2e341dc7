// Package neterr names failures of the network in words that hold nothing of the
// request. The errors of net/http quote its URL.
package neterr

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"syscall"
)

// What Windows says of connections. There, package syscall makes up the numbers of Unix,
// which no connection fails with; no other system has numbers as high as these.
const (
	windowsAborted syscall.Errno = 10053
	windowsReset   syscall.Errno = 10054
	windowsRefused syscall.Errno = 10061
)

// Reason names the kind of a failure of the network.
func Reason(err error) string {
	is := func(target error) bool { return errors.Is(err, target) }
	dns, isDNS := errors.AsType[*net.DNSError](err)
	netError, isNetError := errors.AsType[net.Error](err)
	switch {
	case isDNS && dns.IsNotFound:
		return "no such host"
	case isDNS:
		return "the host name could not be resolved"
	case isTLS(err), is(http.ErrSchemeMismatch):
		return "TLS failed"
	case isNetError && netError.Timeout(), is(context.DeadlineExceeded):
		return "timeout"
	case is(context.Canceled):
		return "canceled"
	case is(syscall.ECONNREFUSED), is(windowsRefused):
		return "connection refused"
	case is(syscall.ECONNRESET), is(syscall.EPIPE), is(windowsReset), is(windowsAborted):
		return "connection reset"
	case is(io.EOF), is(io.ErrUnexpectedEOF):
		return "connection closed before the answer"
	}
	return ofHTTP2(err)
}

// ofHTTP2 names a failure of HTTP/2, for which package net/http has no types, but a
// text that begins so.
func ofHTTP2(err error) string {
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		err = withURL.Err
	}
	switch text := err.Error(); {
	case strings.HasPrefix(text, "http2: ") && strings.HasSuffix(text, "looked like an HTTP/1.1 header"):
		return "an answer of HTTP/1 where HTTP/2 was agreed on" // as of a server behind a TLS proxy
	case strings.HasPrefix(text, "http2: "):
		return "HTTP/2 failed"
	}
	return "request failed"
}

func isTLS(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	return verification || record || alert || authority || hostname
}

// Wrap returns an error with the given text that errors.Is and errors.As see
// through, but for every [*url.Error], which holds the query in its URL.
func Wrap(err error, text string) error { return &wrapped{err, text} }

type wrapped struct {
	err  error
	text string
}

func (w *wrapped) Error() string        { return w.text }
func (w *wrapped) Is(target error) bool { return errors.Is(w.err, target) }

func (w *wrapped) As(target any) bool {
	found := reflect.New(reflect.TypeOf(target).Elem())
	for err := w.err; errors.As(err, found.Interface()); {
		withURL, ok := reflect.TypeAssert[*url.Error](found.Elem())
		if !ok {
			reflect.ValueOf(target).Elem().Set(found.Elem())
			return true
		}
		err = withURL.Err
	}
	return false
}
