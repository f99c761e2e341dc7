package kissmetrics

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/answer"
)

// connections are those of a transport of our own, where there is one.
type connections struct {
	transport *http.Transport
	failures  atomic.Int32 // in a row
}

// renewAfter is how many failures in a row make the next request open a new
// connection.
const renewAfter = 3

// note closes idle connections after failures in a row. What is at their other end
// may be broken, or no longer the server that the host's name stands for, while a
// new connection would reach a healthy one.
func (c *connections) note(got answer.Answer) {
	switch {
	case got.Status == http.StatusTooManyRequests: // a healthy server says so
	case got.Verdict == answer.Delivered:
		c.failures.Store(0)
	case c.failures.Add(1) >= renewAfter:
		c.failures.Store(0)
		c.close()
	}
}

func (c *connections) close() {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// newTransport returns a transport that shares nothing with others of the
// process.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        maxWorkers,
		MaxIdleConnsPerHost: maxWorkers,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
		// A connection of HTTP/2 whose other end is gone is used until it fails a ping:
		// requests alone never end it.
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 2 * time.Second},
		DisableCompression: true, // a picture of 43 bytes
		// Most requests, and all answers, are shorter, and there are hundreds of these.
		WriteBufferSize: 1 << 10,
		ReadBufferSize:  1 << 10,
	}
}
