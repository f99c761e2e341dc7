package collect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// limitReading bounds how long the body takes to arrive. Once all of it is there,
// net/http ends the limit itself.
func limitReading(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server != nil && server.ReadTimeout > 0 && server.ReadTimeout < timeout {
		return // shorter already, and it has begun
	}
	// Where this is not supported there is no connection either.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
}

// A body is what a request holds, decompressed. It is released when nothing
// refers to it any more.
type body struct{ bytes.Buffer }

const keptBytes = 1 << 20 // a larger buffer is not kept for others

var (
	bodies  = sync.Pool{New: func() any { return new(body) }}
	gunzips sync.Pool // of *gzip.Reader
)

func (b *body) release() {
	if b.Cap() <= keptBytes {
		b.Reset()
		bodies.Put(b)
	}
}

// read returns the body of a request, or the answer to one that has none.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (*body, *answer) {
	limited := bufio.NewReader(http.MaxBytesReader(w, r.Body, int64(h.config.maxBytes)))
	var content io.Reader = limited
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity", "gzip", "x-gzip":
	default:
		a := failure(http.StatusUnsupportedMediaType, "unsupported_encoding", "the Content-Encoding is not gzip")
		return nil, &a
	}
	// The body itself says whether it is gzipped. No JSON begins so, and what stands
	// between sometimes unpacks a body and leaves the header, or the other way round.
	if start, _ := limited.Peek(len(gzipMagic)); string(start) == gzipMagic {
		unzip, err := gunzip(limited)
		if err != nil {
			return nil, unreadable(err)
		}
		defer gunzips.Put(unzip)
		content = io.LimitReader(unzip, int64(h.config.maxBytes)+1)
	}
	b := bodies.Get().(*body)
	if _, err := b.ReadFrom(content); err != nil {
		b.release()
		return nil, unreadable(err)
	}
	if b.Len() > h.config.maxBytes {
		b.release()
		return nil, unreadable(&http.MaxBytesError{})
	}
	return b, nil
}

const gzipMagic = "\x1f\x8b"

// gunzip returns a reader that its caller puts back.
func gunzip(r io.Reader) (*gzip.Reader, error) {
	if unzip, ok := gunzips.Get().(*gzip.Reader); ok {
		if err := unzip.Reset(r); err != nil {
			gunzips.Put(unzip)
			return nil, err
		}
		return unzip, nil
	}
	return gzip.NewReader(r)
}

// unreadable returns the answer to a request whose body could not be read.
func unreadable(err error) *answer {
	a := failure(http.StatusBadRequest, "invalid_body", "the body could not be read, or is not what its Content-Encoding says")
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		a = failure(http.StatusRequestEntityTooLarge, "too_large", "the body is too large")
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		// Nothing was accepted. Most SDKs drop what is answered with 408.
		a = failure(http.StatusServiceUnavailable, "slow_body", "the body did not come in time")
		a.retryAfter = 1
	}
	return &a
}
