package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// serverVariable says, in the environment of a process of this test binary, that it
// is the server of a benchmark, and of which kind.
const serverVariable = "KISSMETRICS_BENCH_SERVER"

// picture is what Kissmetrics answers.
var picture = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// serve is a server that is a process of its own, so that its memory and processor
// time are not counted among the client's. It answers after a delay, such as
// "50ms", or is one that takes so many a second, such as "200/s 50ms", and answers
// 429 to the others. It ends with its standard input.
func serve(kind string) {
	perSecond := 0
	if quota, delay, ok := strings.Cut(kind, "/s "); ok {
		_, _ = fmt.Sscan(quota, &perSecond)
		kind = delay
	}
	delay, err := time.ParseDuration(kind)
	if err != nil {
		panic(err)
	}
	bucket := &quotaOf{perSecond: float64(perSecond), tokens: float64(perSecond), updated: time.Now()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	var served, refused int
	var mu sync.Mutex
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/counts" {
			mu.Lock()
			defer mu.Unlock()
			_, _ = fmt.Fprint(w, served, refused)
			return
		}
		if delay > 0 {
			<-time.After(delay)
		}
		ok := perSecond == 0 || bucket.take()
		mu.Lock()
		if ok {
			served++
		} else {
			refused++
		}
		mu.Unlock()
		if !ok {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write(picture)
	})}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	_ = server.Serve(listener)
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

// startServer starts a server and returns its address.
func startServer(b *testing.B, kind string) string {
	command := exec.Command(os.Args[0]) //nolint:gosec,noctx // it is this program, and ends with its input
	command.Env = append(os.Environ(), serverVariable+"="+kind)
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
	address, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(b, err)
	return "http://" + strings.TrimSpace(address)
}

// counts returns how many requests a server has answered and refused.
func counts(b *testing.B, url string) (served, refused int) {
	response, err := http.Get(url + "/counts") //nolint:gosec,noctx // on loopback
	require.NoError(b, err)
	defer func() { require.NoError(b, response.Body.Close()) }()
	_, err = fmt.Fscan(response.Body, &served, &refused)
	require.NoError(b, err)
	http.DefaultClient.CloseIdleConnections()
	return served, refused
}

// BenchmarkNetwork delivers events by a queue with its default options to a server
// that answers as late as one beyond a network does. A round begins with a new
// queue, which has to find out how many requests to have under way, and lasts for
// 10 seconds (1 with -benchtime 1x).
//
//	go test -C bench -run '^$' -bench Network -benchtime 3x .
//
// To compare with another commit, run it there as well, from the same files.
func BenchmarkNetwork(b *testing.B) {
	during := 10 * time.Second
	if size(10) == 1 {
		during = time.Second
	}
	for _, kind := range []string{"0s", "50ms", "200ms"} {
		b.Run(kind, func(b *testing.B) {
			url, results := startServer(b, kind), series{}
			for b.Loop() {
				busy := cpu(b)
				delivered, elapsed, memory := deliverFor(b, url, during)
				results.add("records/s", float64(delivered)/elapsed.Seconds())
				results.add("cpu-µs/record", float64((cpu(b)-busy).Microseconds())/float64(delivered))
				results.add("MiB-resident", float64(memory)/(1<<20))
			}
			results.report(b)
		})
	}
}

// BenchmarkQuota delivers for longer to a server that takes 200 records a second,
// and reports how many of those went through and how many requests were refused,
// after the first 10 seconds.
func BenchmarkQuota(b *testing.B) {
	warmUp, during := 10*time.Second, 60*time.Second
	if size(10) == 1 {
		warmUp, during = 3*time.Second, 3*time.Second
	}
	for _, kind := range []string{"200/s 1ms", "200/s 50ms"} {
		b.Run(kind, func(b *testing.B) {
			url, results := startServer(b, kind), series{}
			for b.Loop() {
				var servedBefore, refusedBefore int
				timer := time.AfterFunc(warmUp, func() { servedBefore, refusedBefore = counts(b, url) })
				deliverFor(b, url, warmUp+during)
				timer.Stop()
				served, refused := counts(b, url)
				served, refused = served-servedBefore, refused-refusedBefore
				results.add("%of-quota", 100*float64(served)/(200*during.Seconds()))
				results.add("%refused", 100*float64(refused)/float64(served+refused))
			}
			results.report(b)
		})
	}
}

// deliverFor tracks and delivers events for some time, and returns how many were
// delivered in which time, and the memory of the process at the end of it.
func deliverFor(b *testing.B, url string, during time.Duration) (delivered int64, elapsed time.Duration, memory int) {
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(url),
		kissmetrics.WithQueue(kissmetrics.WithFullPolicy(kissmetrics.FullWait), kissmetrics.WithCapacity(10_000, 64<<20)),
	)
	require.NoError(b, err)
	start := time.Now()
	ctx, cancel := context.WithTimeout(b.Context(), during)
	defer cancel()
	for i := 0; ctx.Err() == nil; i++ {
		event := track()
		event.UserID = fmt.Sprintf("user-%d", i)
		if err := client.Track(ctx, event); err != nil && ctx.Err() == nil {
			b.Fatal(err)
		}
	}
	delivered, elapsed, memory = client.Stats().Delivered, time.Since(start), resident(b)
	_ = client.Close(ctx)
	return delivered, elapsed, memory
}
