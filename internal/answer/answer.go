// Package answer says what the answer to a request of the tracking API means.
package answer

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

// A Verdict says what an answer means for the record that was sent.
type Verdict int

const (
	// Delivered says that Kissmetrics has it.
	Delivered Verdict = iota + 1
	// Unavailable says that the server asks to be left alone for now.
	Unavailable
	// Refused says that the answer is not one of Kissmetrics, which answers 200 with a
	// picture to everything, but of something on the way to it, such as a proxy.
	Refused
)

// An Answer is what there is to know of an answer.
type Answer struct {
	Status     int
	Verdict    Verdict
	Reason     string        // for people, without anything that the server said
	RetryAfter time.Duration // what it asks to wait
}

const (
	// maxDrainBytes is how much is read of a body, so that its connection can be used
	// again. What matters of it is at its beginning.
	maxDrainBytes = 64 << 10
	// sniffBytes is how much of it tells a page from a picture.
	sniffBytes = 512
)

// Read reads an answer, but for closing its body.
func Read(response *http.Response) Answer {
	a := Answer{Status: response.StatusCode}
	start := drain(response)
	switch {
	case a.Status == http.StatusNotModified: // what a cache on the way says of a picture that it has
		a.Verdict = Delivered
	case a.Status >= 200 && a.Status <= 299 && isPage(response.Header, start):
		a.Verdict, a.Reason = Refused, "the answer is a web page, not Kissmetrics' picture"
	case a.Status >= 200 && a.Status <= 299:
		a.Verdict = Delivered
	case a.Status >= 300 && a.Status <= 399:
		a.Verdict, a.Reason = Refused, text(a.Status)+" (redirects are not followed)"
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly,
		a.Status == http.StatusTooManyRequests, a.Status >= 500 && a.Status <= 599:
		a.Verdict, a.Reason = Unavailable, text(a.Status)
	default:
		a.Verdict, a.Reason = Refused, text(a.Status)
	}
	if a.Verdict != Delivered && response.Header.Get("Retry-After") != "" {
		a.RetryAfter = retry.After(response.Header, time.Now())
	}
	return a
}

// drain reads the body, and returns its beginning. A body that fails, or takes
// longer than the attempt may, changes nothing. A picture that is shorter than the
// answer says is not waited for, which costs its connection.
func drain(response *http.Response) []byte {
	// What follows 101 is a connection, whose reads no context ends.
	if response.Body == nil || response.Body == http.NoBody || response.StatusCode < 200 {
		return nil
	}
	size := int64(sniffBytes)
	if n := response.ContentLength; n > 0 && n < size {
		size = n + 1 // to meet its end
	}
	start := make([]byte, 0, size)
	for int64(len(start)) < size {
		n, err := response.Body.Read(start[len(start):size])
		start = start[:len(start)+n]
		if err != nil || isPicture(start) && int64(len(start)) < response.ContentLength {
			return start // the rest of a whole picture may never come
		}
	}
	_, _ = io.CopyN(io.Discard, response.Body, maxDrainBytes)
	return start
}

// isPicture reports whether a body is a whole GIF.
func isPicture(body []byte) bool {
	return bytes.HasPrefix(body, []byte("GIF8")) && bytes.HasSuffix(body, []byte(";"))
}

// isPage reports whether a body is a web page, by its type or its beginning, such as
// that of a proxy that wants a visitor to log in.
func isPage(header http.Header, start []byte) bool {
	if len(start) < sniffBytes && len(bytes.TrimSpace(start)) == 0 || bytes.HasPrefix(start, []byte("GIF8")) {
		return false
	}
	return isHTML(header.Get("Content-Type")) || isHTML(http.DetectContentType(bytes.TrimPrefix(start, []byte("\ufeff"))))
}

// isHTML reports whether a type is one of a web page, whatever is wrong with its
// parameters.
func isHTML(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "text/html", "application/xhtml+xml":
		return true
	}
	return false
}

// text returns a status and its name.
func text(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}
