package kissmetrics_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// A proxy hands connections on to a server, as a load balancer does.
type proxy struct {
	listener net.Listener
	to       func(connection int) (address string) // where a connection goes; the first is 1
	opened   atomic.Int32
	swallow  atomic.Int32 // the connections up to this one lead nowhere any more
	all      sync.WaitGroup
}

func newProxy(t *testing.T, to func(int) string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, to: to}
	p.all.Go(p.run)
	t.Cleanup(func() {
		_ = listener.Close()
		p.all.Wait()
	})
	return p
}

func (p *proxy) run() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		number := int(p.opened.Add(1))
		server, err := net.Dial("tcp", p.to(number))
		if err != nil {
			_ = client.Close()
			continue
		}
		p.all.Go(func() { p.copy(number, server, client) })
		p.all.Go(func() { p.copy(number, client, server) })
	}
}

// copy hands on what is read, or drops it without a word.
func (p *proxy) copy(number int, to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if number <= int(p.swallow.Load()) {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// newTLSServer returns a tracking server, and what speaks TLS before it, HTTP/2 too
// where it is told so.
func newTLSServer(t *testing.T, http2 bool) (*httptest.Server, *kissmetricstest.Server) {
	tracking := kissmetricstest.NewServer(t)
	behind, err := url.Parse(tracking.URL)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))
	server.EnableHTTP2 = http2
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, tracking
}

// newTrustingSender returns a sender whose own transport trusts any certificate, and
// pings soon enough for a test.
func newTrustingSender(t *testing.T, address string, options ...kissmetrics.HTTPOption) *kissmetrics.HTTPSender {
	sender, err := kissmetrics.NewHTTPSender(append([]kissmetrics.HTTPOption{
		kissmetrics.WithAPIKey(testKey), kissmetrics.WithBaseURL("https://" + address),
	}, options...)...)
	require.NoError(t, err)
	transport := sender.Transport()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // of a server of this test
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond}
	t.Cleanup(sender.CloseIdleConnections)
	return sender
}

func TestAnHTTP2ConnectionThatIsDroppedInSilenceIsLeft(t *testing.T) {
	server, tracking := newTLSServer(t, true)
	p := newProxy(t, func(int) string { return server.Listener.Addr().String() })
	sender := newTrustingSender(t, p.listener.Addr().String(), kissmetrics.WithMaxAttempts(20),
		kissmetrics.WithBackoff(time.Millisecond, time.Millisecond))
	require.NoError(t, sender.Send(t.Context(), event("before")))
	p.swallow.Store(1)
	require.NoError(t, sender.Send(t.Context(), event("after")))
	assert.EqualValues(t, 2, p.opened.Load())
	assert.Len(t, tracking.Events("u"), 2)
}

func TestAHandfulOfConnectionsCarryAllRequests(t *testing.T) {
	const events = 1000
	for name, test := range map[string]struct {
		http2 bool
		most  int
	}{
		// Each carries 100 requests at a time. While the first is being opened, others
		// may be too.
		"HTTP/2": {true, 20},
		// Each carries one, of at most 256. One that is being opened may be ready after
		// the request has got another one, which came free.
		"HTTP/1.1": {false, 512},
	} {
		t.Run(name, func(t *testing.T) {
			server, tracking := newTLSServer(t, test.http2)
			p := newProxy(t, func(int) string { return server.Listener.Addr().String() })
			sender := newTrustingSender(t, p.listener.Addr().String(), kissmetrics.WithTimeout(time.Minute))
			sender.Transport().HTTP2 = &http.HTTP2Config{} // a busy machine answers pings late
			queue, err := kissmetrics.NewQueue(sender)
			require.NoError(t, err)
			require.NoError(t, sender.Send(t.Context(), event("the first")), "or many connections are opened at once, before one is known to carry all")
			for i := range events {
				require.NoError(t, queue.Send(t.Context(), event("e"+strconv.Itoa(i))))
			}
			require.NoError(t, queue.Close(t.Context()))
			assert.Len(t, tracking.Events("u"), events+1)
			assert.LessOrEqual(t, int(p.opened.Load()), test.most)
			t.Logf("%d connections", p.opened.Load())
		})
	}
}

func TestThePingsOfHTTP2(t *testing.T) {
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey))
	require.NoError(t, err)
	transport := sender.Transport()
	assert.True(t, transport.ForceAttemptHTTP2)
	assert.Equal(t, 5*time.Second, transport.HTTP2.SendPingTimeout)
	assert.Equal(t, 2*time.Second, transport.HTTP2.PingTimeout)
	assert.NotNil(t, transport.Proxy)
	assert.Equal(t, 5*time.Second, transport.TLSHandshakeTimeout)
	assert.Equal(t, 90*time.Second, transport.IdleConnTimeout)
	assert.Equal(t, transport.MaxIdleConns, transport.MaxIdleConnsPerHost)
	assert.True(t, transport.DisableCompression)
}

func TestAServerThatOnlyItsOldConnectionReachesIsLeft(t *testing.T) {
	var atOld atomic.Int32
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		atOld.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer old.Close()
	healthy := kissmetricstest.NewServer(t)
	// As in a deployment: the first connection was opened before it.
	p := newProxy(t, func(connection int) string {
		if connection == 1 {
			return old.Listener.Addr().String()
		}
		return healthy.URL[len("http://"):]
	})
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey), kissmetrics.WithBaseURL("http://"+p.listener.Addr().String()),
		kissmetrics.WithBackoff(time.Millisecond, time.Millisecond), kissmetrics.WithMaxAttempts(4))
	require.NoError(t, err)
	defer sender.CloseIdleConnections()
	require.NoError(t, sender.Send(t.Context(), event("e")))
	assert.EqualValues(t, 3, atOld.Load(), "three failures in a row, and then another connection")
	assert.Len(t, healthy.Events("u"), 1)
}

func TestTooManyRequestsAreNoReasonToConnectAnew(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	p := newProxy(t, func(int) string { return server.URL[len("http://"):] })
	server.Fail(kissmetricstest.Fault{Status: 429}, kissmetricstest.Fault{Status: 429}, kissmetricstest.Fault{Status: 429}, kissmetricstest.Fault{Status: 429})
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey), kissmetrics.WithBaseURL("http://"+p.listener.Addr().String()),
		kissmetrics.WithBackoff(time.Millisecond, time.Millisecond), kissmetrics.WithMaxAttempts(5))
	require.NoError(t, err)
	defer sender.CloseIdleConnections()
	require.NoError(t, sender.Send(t.Context(), event("e")))
	assert.EqualValues(t, 1, p.opened.Load())
}

func TestALogInPageIsNoDelivery(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Welcome to the airport</title>")
	}))
	defer server.Close()
	failed := requireDelivery(t, newClient(t, kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1)).Track(t.Context(), ok))
	assert.Equal(t, kissmetrics.FailureRefused, failed.Kind)
	assert.Equal(t, http.StatusOK, failed.StatusCode)
	assert.True(t, failed.Retryable())
	assert.EqualError(t, failed, "kissmetrics: delivery refused: the answer is a web page, not Kissmetrics' picture (1 attempt; 0 of 1 records delivered)")
}
