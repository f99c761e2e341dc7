package kissmetricstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestRequestGivenToFailWithIsTheCallersToChange(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		r.Form["_p"][0] = "changed"
		r.Form.Set("new", "new")
		r.Header.Set("New", "new")
		return nil
	})
	get(t, client, server, "/e?_k=key&_p=ann&_n=n"+first)
	require.Len(t, server.Requests(), 1)
	assert.Equal(t, "ann", server.Requests()[0].Params.Get("_p"))
	assert.False(t, server.Requests()[0].Params.Has("new"))
	assert.Empty(t, server.Requests()[0].Header.Get("New"))
	assert.Equal(t, events{event("n", 0, values{})}, server.Events("ann"))
}

// isReset reports whether err is that of a connection that was reset.
func isReset(err error) bool {
	return runtime.GOOS == "windows" && err != nil || errors.Is(err, syscall.ECONNRESET)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	type seen struct {
		status     int
		retryAfter string
		err        func(error) bool
	}
	isUnexpectedEOF := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
	const someDate = "Tue, 24 Nov 2026 12:00:00 GMT"
	for _, c := range []struct {
		name    string
		fault   kissmetricstest.Fault
		want    seen
		counted bool
	}{
		{"a zero fault lets a request pass", kissmetricstest.Fault{}, seen{status: 200}, true},
		{"a status of 200 lets it pass", kissmetricstest.Fault{Status: 200}, seen{status: 200}, true},
		{"a status is answered", kissmetricstest.Fault{Status: 503}, seen{status: 503}, false},
		{"a refusal is answered", kissmetricstest.Fault{Status: 400}, seen{status: 400}, false},
		{"a redirect is answered", kissmetricstest.Fault{Status: 304}, seen{status: 304}, false},
		{"another success counts", kissmetricstest.Fault{Status: 204}, seen{status: 204}, true},
		{"a status comes with seconds to wait", kissmetricstest.Fault{Status: 429, RetryAfter: "7"}, seen{status: 429, retryAfter: "7"}, false},
		{"a status comes with a date to wait for", kissmetricstest.Fault{Status: 503, RetryAfter: someDate}, seen{status: 503, retryAfter: someDate}, false},
		{"a status of a recorded request", kissmetricstest.Fault{Status: 500, Recorded: true}, seen{status: 500}, true},
		{"a delay only delays", kissmetricstest.Fault{Delay: time.Nanosecond}, seen{status: 200}, true},
		{"a delay and a status", kissmetricstest.Fault{Delay: time.Nanosecond, Status: 502}, seen{status: 502}, false},
		{"a reset is an error", kissmetricstest.Fault{Cut: kissmetricstest.CutReset}, seen{err: isReset}, false},
		{"a reset of a recorded request", kissmetricstest.Fault{Cut: kissmetricstest.CutReset, Recorded: true}, seen{err: isReset}, true},
		{"a cut answer is an unexpected end", kissmetricstest.Fault{Cut: kissmetricstest.CutHalf}, seen{err: isUnexpectedEOF}, false},
		{"a cut answer of a recorded request", kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Recorded: true}, seen{err: isUnexpectedEOF}, true},
		{"a cut wins over a status", kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Status: 503, Delay: time.Nanosecond}, seen{err: isUnexpectedEOF}, false},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, way := range []string{"Fail", "FailWith"} {
				t.Run(fmt.Sprintf("%s by %s and %s", c.name, method, way), func(t *testing.T) {
					t.Parallel()
					server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
					if way == "Fail" {
						server.Fail(c.fault)
					} else {
						server.FailWith(func(*http.Request) *kissmetricstest.Fault { return &c.fault })
					}
					got, err := do(client, newRequest(t.Context(), t, method, server.URL, "/e?_k=key&_p=ann&_n=n"+first))
					if c.want.err != nil {
						require.Error(t, err)
						require.True(t, c.want.err(err), "%v", err)
					} else {
						require.NoError(t, err)
						require.Equal(t, c.want.status, got.status)
						require.Equal(t, c.want.retryAfter, got.header.Get("Retry-After"))
						if got.status == http.StatusOK {
							requirePicture(t, got)
						} else {
							require.Empty(t, got.body)
						}
					}
					assert.Len(t, server.Requests(), 1)
					assert.Empty(t, server.Ignored())
					if c.counted {
						assert.Len(t, server.Events("ann"), 1)
					} else {
						assert.Empty(t, server.Events("ann"))
					}

					server.FailWith(nil)
					requirePicture(t, get(t, client, server, "/e?_k=key&_p=bob&_n=n"+first))
					assert.Len(t, server.Events("bob"), 1, "a fault is over when it is over")
				})
			}
		}
	}
}

// net/http tries a GET again if its kept connection ends before an answer, so a
// reset there is met by no one but the server.
func TestResetOfAKeptConnectionIsRepeatedByNetHTTP(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.Fail(kissmetricstest.Fault{}, kissmetricstest.Fault{Cut: kissmetricstest.CutReset})
	get(t, client, server, "/e?_k=key&_p=ann&_n=one"+first)
	requirePicture(t, get(t, client, server, "/e?_k=key&_p=ann&_n=two"+first))
	assert.Len(t, server.Requests(), 3)
	assert.Equal(t, 2, server.Connections())
	assert.Len(t, server.Events("ann"), 2)
}

func TestFaultsAreMetInOrder(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		if r.Form.Get("_n") == "pass" {
			return nil
		}
		return &kissmetricstest.Fault{Status: 418}
	})
	server.Fail(kissmetricstest.Fault{Status: 500}, kissmetricstest.Fault{}, kissmetricstest.Fault{Status: 502})
	server.Fail(kissmetricstest.Fault{Status: 503})
	server.Fail()
	var got []int
	for _, name := range []string{"a", "b", "pass", "pass", "c", "pass"} {
		got = append(got, get(t, client, server, "/e?_k=key&_p=ann&_n="+name+next).status)
	}
	server.FailWith(nil)
	got = append(got, get(t, client, server, "/e?_k=key&_p=ann&_n=d"+next).status)
	assert.Equal(t, []int{500, 200, 502, 503, 418, 200, 200}, got)
	assert.Equal(t, events{event("b", 1, nil), event("pass", 1, nil), event("d", 1, nil)}, server.Events("ann"))
	assert.Len(t, server.Requests(), 7)
}

// delayed makes the server delay everything by an hour, and returns what is
// told of every request that is.
func delayed(server *kissmetricstest.Server) <-chan struct{} {
	arrived := make(chan struct{}, 64)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		arrived <- struct{}{}
		return &kissmetricstest.Fault{Delay: time.Hour}
	})
	return arrived
}

func TestDelayedRequestCountsThoughItsClientGivesUp(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			arrived := delayed(server)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			request := newRequest(ctx, t, method, server.URL, "/e?_k=key&_p=ann&_n=n"+first)
			failed := make(chan error, 1)
			go func() {
				_, err := do(client, request)
				failed <- err
			}()
			<-arrived
			cancel()
			require.ErrorIs(t, <-failed, context.Canceled)
			assert.Eventually(t, func() bool { return len(server.Events("ann")) == 1 }, time.Minute, time.Millisecond)
		})
	}
}

func TestCloseCutsDelayedRequestsOff(t *testing.T) {
	t.Parallel()
	const clients = 8
	server := kissmetricstest.Start()
	defer server.Close()
	arrived := delayed(server)
	failed := make(chan error, clients)
	for i := range clients {
		client := newHTTPClient(t)
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		request := newRequest(t.Context(), t, method, server.URL, "/e?_k=key&_p=ann&_n=n")
		go func() {
			_, err := do(client, request)
			failed <- err
		}()
	}
	for range clients {
		<-arrived
	}
	server.Close()
	for range clients {
		require.Error(t, <-failed, "no answer may be taken for a success")
	}
	assert.Len(t, server.Requests(), clients, "what was seen is told after Close too")
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.Start(), newHTTPClient(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		close(arrived)
		<-release
		finished.Store(true)
		return nil
	})
	request := newRequest(t.Context(), t, http.MethodPost, server.URL, "/e?_k=key&_p=ann&_n=n")
	cut := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := do(client, request)
		cut <- err
	})
	<-arrived
	wg.Go(func() {
		server.Close()
		assert.True(t, finished.Load())
	})
	require.Error(t, <-cut)
	close(release)
	wg.Wait()
}

func TestCloseTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t) // closes once more
	get(t, client, server, "/e?_k=key&_p=ann&_n=n"+first)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(server.Close)
	}
	wg.Wait()
	server.Close()
	_, err := do(client, newRequest(t.Context(), t, http.MethodGet, server.URL, "/e"))
	require.Error(t, err)
	assert.Len(t, server.Events("ann"), 1)
}
