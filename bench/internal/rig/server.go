// Package rig has what benchmarks of more than one package need.
package rig

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ServerVariable says, in the environment of a process of this test binary, that it
// is the server of a benchmark, and of which kind.
const ServerVariable = "KISSMETRICS_BENCH_SERVER"

// Picture is what Kissmetrics answers.
var Picture = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// Serve is a server that is a process of its own, so that its memory and processor
// time are not counted among the client's. It answers after a delay, such as
// "50ms", or is one that takes so many a second, such as "200/s 50ms", and answers
// 429 to the others. With "tls" before that it speaks TLS, HTTP/2 as well as
// HTTP/1.1, with a limit of 100 streams a connection. It ends with its standard
// input.
func Serve(kind string) {
	perSecond := 0
	kind, withTLS := strings.CutPrefix(kind, "tls ")
	if quota, delay, ok := strings.Cut(kind, "/s "); ok {
		_, _ = fmt.Sscan(quota, &perSecond)
		kind = delay
	}
	delay, err := time.ParseDuration(kind)
	if err != nil {
		panic(err)
	}
	bucket := &quotaOf{perSecond: float64(perSecond), tokens: float64(perSecond), updated: time.Now()}
	var served, refused, connections int
	var mu sync.Mutex
	count := func(n *int) {
		mu.Lock()
		defer mu.Unlock()
		*n++
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/counts" {
			mu.Lock()
			defer mu.Unlock()
			_, _ = fmt.Fprint(w, served, refused, connections)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if delay > 0 {
			<-time.After(delay)
		}
		if perSecond > 0 && !bucket.take() {
			count(&refused)
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		count(&served)
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write(Picture)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			count(&connections)
		}
	}
	if withTLS {
		server.EnableHTTP2 = true
		server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100}
		server.StartTLS()
	} else {
		server.Start()
	}
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.CloseClientConnections()
	server.Close()
}

// quotaOf is a bucket of tokens, into which so many fall every second.
type quotaOf struct {
	mu                sync.Mutex
	perSecond, tokens float64
	updated           time.Time
}

func (q *quotaOf) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.tokens = min(q.perSecond/10, q.tokens+now.Sub(q.updated).Seconds()*q.perSecond)
	q.updated = now
	if q.tokens < 1 {
		return false
	}
	q.tokens--
	return true
}

// StartServer starts a server and returns its URL.
func StartServer(b *testing.B, kind string) string {
	command := exec.Command(os.Args[0]) //nolint:gosec,noctx // it is this program, and ends with its input
	command.Env = append(os.Environ(), ServerVariable+"="+kind)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	require.NoError(b, err)
	output, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		require.NoError(b, input.Close())
		require.NoError(b, command.Wait())
	})
	url, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(url)
}

// Counts returns how many requests a server has answered and refused, and how many
// connections it has accepted, this one not.
func Counts(b *testing.B, url string) (served, refused, connections int) {
	client := &http.Client{Transport: Trusting()}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/counts", nil)
	require.NoError(b, err)
	response, err := client.Do(request)
	require.NoError(b, err)
	defer func() { require.NoError(b, response.Body.Close()) }()
	_, err = fmt.Fscan(response.Body, &served, &refused, &connections)
	require.NoError(b, err)
	return served, refused, connections - 1
}

// Trusting returns a transport that trusts any certificate.
func Trusting() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // of a server of ours
}

// Size returns how many events a round has: few where the benchmarks are only to
// be seen to run, by -benchtime 1x.
func Size(events int) int {
	if flag.Lookup("test.benchtime").Value.String() == "1x" {
		return events / 10
	}
	return events
}

// Round is how long a round lasts that is not over after so many events.
func Round() time.Duration { return time.Duration(Size(10)) * time.Second }
