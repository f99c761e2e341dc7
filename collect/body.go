package collect

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
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
	arriving := &arrival{Reader: http.NoBody}
	if r.Body != nil { // as net/http promises, but not everybody who calls a handler
		arriving.Reader = http.MaxBytesReader(w, r.Body, int64(h.config.maxBytes))
	}
	start := make([]byte, len(gzipMagic))
	n, _ := io.ReadFull(arriving, start)
	start = start[:n]
	content := io.MultiReader(bytes.NewReader(start), arriving)
	// The body itself says whether it is gzipped. No JSON begins so, and what stands
	// between sometimes unpacks a body and leaves the header, or the other way round.
	switch {
	case string(start) == gzipMagic:
		unzip, err := gunzip(content)
		if err != nil {
			return nil, arriving.unreadable()
		}
		defer gunzips.Put(unzip)
		content = io.LimitReader(unzip, min(int64(h.config.maxBytes), math.MaxInt64-1)+1)
	case isPacked(r.Header.Get("Content-Encoding"), start):
		a := failure(http.StatusUnsupportedMediaType, "unsupported_encoding", "the Content-Encoding is not gzip")
		return nil, &a
	}
	b := bodies.Get().(*body)
	if _, err := b.ReadFrom(content); err != nil {
		b.release()
		return nil, arriving.unreadable()
	}
	if b.Len() > h.config.maxBytes {
		b.release()
		arriving.err = &http.MaxBytesError{}
		return nil, arriving.unreadable()
	}
	return b, nil
}

const gzipMagic = "\x1f\x8b"

// isPacked reports whether a body is in an encoding that is not understood. It is not
// where it begins as JSON does.
func isPacked(encoding string, start []byte) bool {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity", "gzip", "x-gzip":
		return false
	}
	return len(start) > 0 && strings.IndexByte("{ \t\r\n\xef", start[0]) < 0
}

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

// An arrival is a body as it arrives.
type arrival struct {
	io.Reader

	err error // why no more of it does
}

func (a *arrival) Read(p []byte) (n int, err error) {
	n, err = a.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		a.err = err
	}
	return n, err
}

// unreadable returns the answer to a request whose body could not be read. One that did
// not arrive as a whole is nobody's fault: nothing was accepted, and a repeat may arrive.
func (a *arrival) unreadable() *answer {
	_, isTooLarge := errors.AsType[*http.MaxBytesError](a.err)
	var refusal answer
	switch {
	case a.err == nil:
		refusal = failure(http.StatusBadRequest, "invalid_body", "the body is not gzipped as it begins to be")
	case isTooLarge:
		refusal = failure(http.StatusRequestEntityTooLarge, "too_large", "the body is too large")
	case errors.Is(a.err, os.ErrDeadlineExceeded): // most SDKs drop what is answered with 408
		refusal = failure(http.StatusServiceUnavailable, "slow_body", "the body did not come in time")
		refusal.retryAfter = 1
	default:
		refusal = failure(http.StatusServiceUnavailable, "incomplete_body", "the body did not come as a whole")
		refusal.retryAfter = 1
	}
	return &refusal
}
