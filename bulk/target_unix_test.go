//go:build linux || darwin

package bulk_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

var target = flag.Bool("target", false, "measure a queue and a bulk sender in one run, and check the ratios")

// serving answers as Kissmetrics and as an S3 server that forgets all, until its
// standard input ends.
func serving(string, string) error {
	gif := []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case r.Method == http.MethodGet || r.URL.Path == "/e":
			w.Header().Set("Content-Type", "image/gif")
			_, _ = w.Write(gif)
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Query().Has("uploads"):
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><Bucket>shop-events</Bucket><Key>k</Key><ETag>e</ETag></CompleteMultipartUploadResult>")
		default:
			w.Header().Set("ETag", `"e"`)
		}
	}))
	defer s.Close()
	fmt.Println(s.URL)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// A measure is how many records were sent in what time.
type measure struct {
	records      int
	elapsed, cpu time.Duration
	heap         uint64 // at most
}

func (m measure) rate() float64   { return float64(m.records) / m.elapsed.Seconds() }
func (m measure) perCPU() float64 { return float64(m.cpu.Nanoseconds()) / float64(m.records) }
func (m measure) String() string {
	return fmt.Sprintf("%d records in %v: %.0f a second, %.0f ns of processor time each, at most %d MB of heap",
		m.records, m.elapsed.Round(time.Millisecond), m.rate(), m.perCPU(), m.heap>>20)
}

// measured sends events from many goroutines, as a busy web server does, until they are
// delivered.
func measured(t *testing.T, to kissmetrics.Sender, goroutines, each, size int) (m measure) {
	t.Helper()
	messages := make([][]kissmetrics.Record, 64)
	for i := range messages {
		for j := range size {
			messages[i] = append(messages[i], busy(i, j))
		}
	}
	runtime.GC()
	before, begin := processorTime(t), time.Now()
	var senders sync.WaitGroup
	for g := range goroutines {
		senders.Go(func() {
			for i := range each {
				if err := to.Send(t.Context(), messages[(g+i)%len(messages)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
			metrics.Read(sample)
			m.heap = max(m.heap, sample[0].Value.Uint64())
			select {
			case <-ended:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	senders.Wait()
	t.Logf("accepted after %v, with %v of processor time", time.Since(begin), processorTime(t)-before)
	require.NoError(t, to.(kissmetrics.Flusher).Flush(t.Context()))
	close(ended)
	watcher.Wait()
	m.records, m.elapsed, m.cpu = goroutines*each*size, time.Since(begin), processorTime(t)-before
	return m
}

// busy returns an event like those of a shop.
func busy(g, i int) kissmetrics.Record {
	return kissmetrics.Record{
		Kind: kissmetrics.KindEvent, Person: "user-" + strconv.Itoa(1_000_000+g), Name: "Order Completed",
		Time: time.Unix(1_700_000_000+int64(i), 0),
		Properties: []kissmetrics.Property{
			{Name: "currency", Value: "EUR"},
			{Name: "order id", Value: strconv.Itoa(i)},
			{Name: "plan", Value: "professional"},
			{Name: "price", Value: "49.5", Literal: true},
			{Name: "referrer", Value: "https://www.example.com/"},
		},
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestTarget measures a queue, whose requests a server on loopback answers at once, and
// a bulk sender, whose objects the same server takes. The server is another process,
// whose processor time does not count.
func TestTarget(t *testing.T) {
	if !*target {
		t.Log("not without -target")
		return
	}
	cmd := child(t, "serve", "", "")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	url, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	url = strings.TrimSpace(url)

	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(url))
	require.NoError(t, err)
	queue, err := kissmetrics.NewQueue(next, kissmetrics.WithFullPolicy(kissmetrics.FullWait))
	require.NoError(t, err)
	queued := measured(t, queue, 64, 500, 1)
	t.Logf("queue, messages of one record:    %v", queued)
	queuedBatches := measured(t, queue, 64, 5, 100)
	t.Logf("queue, messages of 100 records:   %v", queuedBatches)
	require.NoError(t, queue.Close(t.Context()))
	next.CloseIdleConnections()

	s := open(t, t.TempDir(), bucketOf(url), bulk.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	stop := start(t, s)
	single := measured(t, s, 2048, 500, 1)
	t.Logf("bulk, messages of one record:     %v", single)
	small := measured(t, s, 2048, 5, 100)
	t.Logf("bulk, messages of 100 records:    %v", small)
	large := measured(t, s, 2048, 25, 100)
	t.Logf("bulk, a file 5 times as large:    %v", large)
	stop()
	closeSender(t, s)

	s = open(t, t.TempDir(), bucketOf(url), bulk.WithInterval(time.Second))
	stop = start(t, s)
	steadySingle := measured(t, s, 2048, 500, 1)
	t.Logf("one record, an object a second:   %v", steadySingle)
	steady := measured(t, s, 2048, 50, 100)
	t.Logf("100 records, an object a second:  %v", steady)
	stop()
	closeSender(t, s)
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())

	rate, cpu := steady.rate()/queuedBatches.rate(), queuedBatches.perCPU()/steady.perCPU()
	t.Logf("messages of one record: %.1f times as many records a second, 1/%.1f of the processor time", steadySingle.rate()/queued.rate(), queued.perCPU()/steadySingle.perCPU())
	t.Logf("messages of 100:        %.1f times as many records a second, 1/%.1f of the processor time", rate, cpu)
	assert.GreaterOrEqual(t, rate, 25.0)
	assert.GreaterOrEqual(t, cpu, 20.0)
	assert.Less(t, large.heap, small.heap+small.heap/2, "memory does not grow with the file")
}
