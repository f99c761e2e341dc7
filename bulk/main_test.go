package bulk_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

// The environment of a test's child process names what it is to do.
const (
	role      = "BULK_TEST_ROLE"
	directory = "BULK_TEST_DIRECTORY"
	endpoint  = "BULK_TEST_ENDPOINT"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(role); name != "" {
		if err := roles[name](os.Getenv(directory), os.Getenv(endpoint)); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	trial.Parallel(6) // they mostly wait
	goleak.VerifyTestMain(m)
}

var roles = map[string]func(dir, url string) error{
	"crash": crashing,
	"fill":  filling,
	"serve": serving,
}

// child returns this program as another process, which is killed when the test ends.
func child(t testing.TB, name, dir, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+name, directory+"="+dir, endpoint+"="+url)
	cmd.Stderr = os.Stderr
	return cmd
}

// A server is an S3 server in memory, with one bucket. A fault stands before it, where
// one is set: it answers a request itself and returns true, or leaves it to the server.
type server struct {
	*httptest.Server

	Backend *s3mem.Backend
	real    http.Handler // behind the fault

	mu    sync.Mutex
	fault func(http.ResponseWriter, *http.Request) bool
}

const bucketName = "shop-events"

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{Backend: s3mem.New()}
	require.NoError(t, s.Backend.CreateBucket(bucketName))
	fake := gofakes3.New(s.Backend, gofakes3.WithTimeSkewLimit(15*time.Minute)).Server()
	s.real = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.Header.Get("If-None-Match") == "*" { // which it does not heed
			bucket, object, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
			if _, err := s.Backend.HeadObject(bucket, object); err == nil {
				answer(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
				return
			}
		}
		fake.ServeHTTP(w, r)
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		fault := s.fault
		s.mu.Unlock()
		if fault == nil || !fault(w, r) {
			s.real.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return s
}

func (s *server) failWith(fault func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// objects returns what is in the bucket, by name, in order of the names.
func (s *server) objects(t testing.TB) (names []string, records [][]kissmetrics.Record) {
	t.Helper()
	list, err := s.Backend.ListBucket(bucketName, nil, gofakes3.ListBucketPage{})
	require.NoError(t, err)
	for _, c := range list.Contents {
		object, err := s.Backend.GetObject(bucketName, c.Key, nil)
		require.NoError(t, err)
		var of []kissmetrics.Record
		for read, err := range kissmetrics.ReadImport(object.Contents) {
			require.NoError(t, err)
			of = append(of, read.Record)
		}
		require.NoError(t, object.Contents.Close())
		names, records = append(names, c.Key), append(records, of)
	}
	return names, records
}

// records returns all records of the bucket, in the order of the objects.
func (s *server) records(t testing.TB) (all []kissmetrics.Record) {
	t.Helper()
	_, records := s.objects(t)
	for _, of := range records {
		all = append(all, of...)
	}
	return all
}

func bucketOf(url string) bulk.Bucket {
	return bulk.Bucket{
		Name: bucketName, Base: "shop", Endpoint: url, Region: "us-east-1", PathStyle: true,
		AccessKey: "access", SecretKey: "s3cret",
	}
}

// open opens a sender until the test ends.
func open(t testing.TB, dir string, to bulk.Bucket, options ...bulk.Option) *bulk.Sender {
	t.Helper()
	s, err := bulk.Open(t.Context(), dir, to, append([]bulk.Option{quick}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { closeSender(t, s) })
	return s
}

func closeSender(t testing.TB, s *bulk.Sender) {
	t.Helper()
	assert.NoError(t, s.Close(context.Background()))
}

// start runs a sender. What it returns stops that, and waits.
func start(t testing.TB, s *bulk.Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// flush puts all that is stored into the bucket.
func flush(t testing.TB, s *bulk.Sender) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, s.Flush(ctx))
}

func send(t testing.TB, s *bulk.Sender, names ...string) {
	t.Helper()
	for _, name := range names {
		require.NoError(t, s.Send(t.Context(), []kissmetrics.Record{record(name)}))
	}
}

func statsOf(t testing.TB, s *bulk.Sender) bulk.Stats {
	t.Helper()
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	return stats
}

// record returns a valid record; those of different names are no duplicates.
func record(name string) kissmetrics.Record {
	return kissmetrics.NewEvent("ann", name, time.Unix(1_700_000_000, 0).UTC(),
		kissmetrics.Text("Plan", "Pro"), kissmetrics.Number("Seats", 3))
}

func names(records []kissmetrics.Record) (names []string) {
	for _, r := range records {
		names = append(names, r.Name)
	}
	return names
}

func sealed(t testing.TB, dir string) (paths []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".sealed") {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths
}
