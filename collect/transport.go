package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// RoundTrip implements [http.RoundTripper]: it answers the request here, in the
// process that makes it, whatever host the request is for. A program that has the Go
// client of Segment, RudderStack, Customer.io or Hightouch gives that client the
// handler as the Transport of its Config, and changes nothing else: what it tracks
// goes to the sender, without a server and without a network.
//
//	client, err := analytics.NewWithConfig("write-key", analytics.Config{Transport: handler})
//
// RoundTrip returns when the sender has. So give the handler a sender that answers at
// once, such as a [kissmetrics.Queue], and close the client before the sender. When the
// context of the request ends, its body is read no further.
func (h *Handler) RoundTrip(r *http.Request) (*http.Response, error) {
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	defer func() { _ = body.Close() }() // it is read, or nobody wants it
	if r.URL == nil {
		return nil, errors.New("collect: the request has no URL")
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer closeWhenDone(r.Context(), body)()
	request := r.Clone(r.Context()) // which the handler may change
	request.Body, request.RequestURI = body, r.URL.RequestURI()
	if request.Host == "" {
		request.Host = r.URL.Host
	}
	w := &response{header: http.Header{}}
	h.ServeHTTP(w, request)
	return w.of(r), nil
}

// closeWhenDone closes a body when the context ends, which ends a Read that waits. The
// caller calls the returned function when it does not read any more.
func closeWhenDone(ctx context.Context, body io.Closer) (stop func()) {
	closed := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = body.Close() // nobody reads it any more
	})
	return func() {
		if !forget() {
			<-closed
		}
	}
}

// A response is written here, and read by the one that made the request.
type response struct {
	header  http.Header
	written http.Header // the header as it was at WriteHeader
	status  int
	body    bytes.Buffer
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.written = status, w.header.Clone()
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// of returns the response to a request.
func (w *response) of(r *http.Request) *http.Response {
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		StatusCode: w.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        w.written,
		Body:          io.NopCloser(bytes.NewReader(w.body.Bytes())),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}
}
