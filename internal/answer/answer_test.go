package answer

import (
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestVerdicts(t *testing.T) {
	const gif, page = "GIF89a\x01\x00", "\n<!DOCTYPE html><html><title>Log in</title>"
	tests := map[string]struct {
		status      int
		contentType string
		body        string
		want        Verdict
		reason      string
	}{
		"a picture":                     {200, "image/gif", gif, Delivered, ""},
		"a picture as a page":           {200, "text/html", gif, Delivered, ""}, // as scripts in PHP say where they say nothing
		"nothing":                       {204, "", "", Delivered, ""},
		"a text":                        {200, "text/plain", "ok", Delivered, ""},
		"a cache's picture":             {304, "", "", Delivered, ""},
		"a page":                        {200, "text/html; charset=utf-8", page, Refused, "the answer is a web page, not Kissmetrics' picture"},
		"a page that hides its type":    {200, "", page, Refused, "the answer is a web page, not Kissmetrics' picture"},
		"an XHTML page":                 {200, "application/xhtml+xml", page, Refused, "the answer is a web page, not Kissmetrics' picture"},
		"the type of a page, no page":   {200, "text/html", " \n", Delivered, ""},
		"a type with broken parameters": {200, "text/html; ;;=", page, Refused, "the answer is a web page, not Kissmetrics' picture"},
		"a page as a text":              {200, "text/plain", page, Refused, "the answer is a web page, not Kissmetrics' picture"},
		"a page as a picture":           {200, "image/gif", page, Refused, "the answer is a web page, not Kissmetrics' picture"},
		"a page behind its mark":        {200, "", "\ufeff<html>", Refused, "the answer is a web page, not Kissmetrics' picture"},
		"a page behind many blanks":     {200, "Text/HTML", strings.Repeat("\n", 600) + page, Refused, "the answer is a web page, not Kissmetrics' picture"},
		"a redirect":                    {302, "", "", Refused, "302 Found (redirects are not followed)"},
		"a bad request":                 {400, "text/html", page, Refused, "400 Bad Request"},
		"a proxy that wants a password": {407, "", "", Refused, "407 Proxy Authentication Required"},
		"a wrong server":                {421, "", "", Refused, "421 Misdirected Request"},
		"a law":                         {451, "", "", Refused, "451 Unavailable For Legal Reasons"},
		"a slow request":                {408, "", "", Unavailable, "408 Request Timeout"},
		"too early":                     {425, "", "", Unavailable, "425 Too Early"},
		"too many":                      {429, "", "", Unavailable, "429 Too Many Requests"},
		"a broken server":               {503, "", "", Unavailable, "503 Service Unavailable"},
		"a status beyond all":           {600, "", "", Refused, "600"},
		"another protocol":              {101, "", "", Refused, "101 Switching Protocols"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := &http.Response{StatusCode: test.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(test.body))}
			if test.contentType != "" {
				response.Header.Set("Content-Type", test.contentType)
			}
			assert.Equal(t, Answer{Status: test.status, Verdict: test.want, Reason: test.reason}, Read(response))
		})
	}
}

func TestTheLengthOfABodyIsAHint(t *testing.T) {
	const page = "<!DOCTYPE html><title>Log in</title>"
	for _, length := range []int64{math.MinInt64, -1, 0, int64(len(page)) - 1, int64(len(page)), sniffBytes - 1, sniffBytes, math.MaxInt64} {
		body := strings.NewReader(page)
		response := &http.Response{StatusCode: http.StatusOK, ContentLength: length, Body: io.NopCloser(body)}
		assert.Equal(t, Refused, Read(response).Verdict, length)
		assert.Zero(t, body.Len(), "all of %d was read", length)
	}
}

func TestOnlyAFailureAsksToWait(t *testing.T) {
	for status, want := range map[int]time.Duration{200: 0, 302: 7 * time.Second, 403: 7 * time.Second, 503: 7 * time.Second} {
		response := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"7"}}}
		assert.Equal(t, want, Read(response).RetryAfter, status)
	}
}

// A server may say that an answer is longer than it is, and keep the connection.
func TestTheRestOfAWholePictureIsNotWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		body   string
		length int64
		reads  int
	}{
		"a picture, and more is said to come": {"GIF89a;", 100, 1},
		"a picture of its length":             {"GIF89a;", 7, 2}, // to its end, so that the connection is used again
		"a picture of unknown length":         {"GIF89a;", -1, 2},
		"a part of a picture":                 {"GIF89a", 100, 2},
		"a text":                              {"ok;", 100, 2},
	} {
		t.Run(name, func(t *testing.T) {
			body := &counted{Reader: strings.NewReader(test.body)}
			response := &http.Response{StatusCode: http.StatusOK, ContentLength: test.length, Body: body}
			assert.Equal(t, Delivered, Read(response).Verdict)
			assert.Equal(t, test.reads, body.reads)
		})
	}
}

// counted is a body that counts how often it is read.
type counted struct {
	io.Reader

	reads int
}

func (c *counted) Read(b []byte) (int, error) {
	c.reads++
	return c.Reader.Read(b)
}

func (*counted) Close() error { return nil }

// endless is a body without end, which counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	e.read += len(b)
	return len(b), nil
}

func (*endless) Close() error { return nil }

func TestABodyIsReadToABound(t *testing.T) {
	body := &endless{}
	assert.Equal(t, Delivered, Read(&http.Response{StatusCode: http.StatusOK, Body: body}).Verdict)
	assert.LessOrEqual(t, body.read, 2*maxDrainBytes)

	connection := &endless{}
	Read(&http.Response{StatusCode: http.StatusSwitchingProtocols, Body: connection})
	assert.Zero(t, connection.read, "what follows 101 is no body")
}
