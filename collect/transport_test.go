package collect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// A program that sends to Segment's host, and here to a sender of its own.
func ExampleHandler_RoundTrip() {
	var sender kissmetricstest.Recorder // in a service a kissmetrics.Queue
	handler, err := collect.NewHandler(&sender, collect.WithWriteKeys("write-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: handler} // or the Transport of an SDK's Config
	response, err := client.Post("https://api.segment.io/v1/track?writeKey=write-key", "application/json",
		strings.NewReader(`{"messageId": "1", "userId": "ada", "event": "Signed Up", "timestamp": "2026-03-02T09:40:00Z"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = response.Body.Close() }()

	fmt.Println(response.Status)
	for _, record := range sender.Records() {
		fmt.Println(record.Kind.Path(), record.Values().Encode())
	}
	// Output:
	// 200 OK
	// /e _d=1&_n=Signed+Up&_p=ada&_t=1772444400
}

// A closer tells whether the body of a request was closed.
type closer struct {
	io.Reader

	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

const signedUp = `{"messageId": "1", "userId": "ada", "event": "Signed Up", "timestamp": "2026-03-02T09:40:00Z"}`

// transport returns the handler as a transport.
func (r *receiver) transport() http.RoundTripper { return r.Handler.(*collect.Handler) }

func TestTransportKeepsTheContract(t *testing.T) {
	r := newReceiver(t)
	body := &closer{Reader: strings.NewReader(signedUp)}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.segment.io/v1/track?x=1", body)
	require.NoError(t, err)
	request.SetBasicAuth(writeKey, "")
	before := request.Clone(t.Context())

	response, err := r.transport().RoundTrip(request)

	require.NoError(t, err)
	defer func() { assert.NoError(t, response.Body.Close()) }()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.JSONEq(t, `{"success":true}`, string(content))
	assert.Equal(t, "200 OK", response.Status)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
	assert.EqualValues(t, len(content), response.ContentLength)
	assert.Equal(t, []string{"Signed Up"}, r.names())
	assert.Same(t, request, response.Request)
	assert.True(t, body.closed)
	assert.Equal(t, before.Header, request.Header, "the request is as it was")
	assert.Equal(t, before.Host, request.Host)
	assert.Empty(t, request.RequestURI)
}

// A status that is no success is an answer, not an error, as with every transport.
func TestTransportAnswersFailures(t *testing.T) {
	for name, test := range map[string]struct {
		sender error
		change func(*http.Request)
		want   int
	}{
		"a full queue":       {sender: kissmetrics.ErrQueueFull, want: http.StatusTooManyRequests},
		"a sender that ends": {sender: errors.New("away"), want: http.StatusServiceUnavailable},
		"a wrong key":        {change: func(r *http.Request) { r.SetBasicAuth("wrong", "") }, want: http.StatusUnauthorized},
		"no body":            {change: func(r *http.Request) { r.Body = nil }, want: http.StatusBadRequest},
		"no such path":       {change: func(r *http.Request) { r.URL.Path = "/v2/track" }, want: http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.recorder.FailWith(test.sender)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.segment.io/v1/track", strings.NewReader(signedUp))
			require.NoError(t, err)
			request.SetBasicAuth(writeKey, "")
			if test.change != nil {
				test.change(request)
			}
			response, err := r.transport().RoundTrip(request)
			require.NoError(t, err)
			defer func() { assert.NoError(t, response.Body.Close()) }()
			assert.Equal(t, test.want, response.StatusCode)
			assert.Equal(t, test.sender != nil, response.Header.Get("Retry-After") != "")
			assert.Empty(t, r.names())
		})
	}
}

// A request that was given up before it is made is not made.
func TestTransportHeedsTheContext(t *testing.T) {
	r := newReceiver(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := &closer{Reader: strings.NewReader(signedUp)}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.segment.io/v1/track", body)
	require.NoError(t, err)
	request.SetBasicAuth(writeKey, "")

	_, err = r.transport().RoundTrip(request) //nolint:bodyclose // there is none

	require.ErrorIs(t, err, context.Canceled)
	assert.True(t, body.closed)
	assert.Empty(t, r.names())
}

// A body that never ends is given up with its request.
func TestTransportStopsReadingWithTheContext(t *testing.T) {
	r := newReceiver(t)
	ctx, cancel := context.WithCancel(t.Context())
	body, writer := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.segment.io/v1/track", body)
	require.NoError(t, err)
	request.SetBasicAuth(writeKey, "")
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := writer.Write([]byte(signedUp[:20])) // returns when that is read
		assert.NoError(t, err)
		cancel()
	})

	response, err := r.transport().RoundTrip(request)

	wg.Wait()
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NoError(t, response.Body.Close())
	_, err = writer.Write([]byte("x"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	assert.Empty(t, r.names())
}

func TestTransportOfARequestWithoutAURL(t *testing.T) {
	body := &closer{Reader: strings.NewReader(signedUp)}
	_, err := newReceiver(t).transport().RoundTrip(&http.Request{Method: http.MethodPost, Body: body}) //nolint:bodyclose // there is none
	require.Error(t, err)
	assert.True(t, body.closed)
}

func TestTransportIsSafeForConcurrentUse(t *testing.T) {
	r := newReceiver(t)
	client := &http.Client{Transport: r.transport()}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			body := strings.Replace(signedUp, `"1"`, fmt.Sprintf("%q", fmt.Sprint("id-", i)), 1)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.segment.io/v1/track", strings.NewReader(body))
			assert.NoError(t, err)
			request.SetBasicAuth(writeKey, "")
			response, err := client.Do(request)
			if assert.NoError(t, err) {
				assert.Equal(t, http.StatusOK, response.StatusCode)
				assert.NoError(t, response.Body.Close())
			}
		})
	}
	wg.Wait()
	assert.Len(t, r.names(), 20)
}
