package s3test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

// The environment of a child process says what it uploads, and where to.
const (
	childDirectory = "S3TEST_DIRECTORY"
	childAddress   = "S3TEST_ADDRESS"
	childFirst     = "S3TEST_FIRST"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDirectory); dir != "" {
		fmt.Println("failed:", uploading(dir, os.Getenv(childAddress), os.Getenv(childFirst)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// perRound is so much that it is uploaded in two parts.
const perRound = 18_000

// uploading stores records, says so, and uploads until it is killed.
func uploading(dir, address, first string) error {
	ctx := context.Background()
	s, err := bulk.Open(ctx, dir, bucketAt(address, "crashes"))
	if err != nil {
		return err
	}
	var from int
	if _, err := fmt.Sscan(first, &from); err != nil {
		return err
	}
	go func() { _ = s.Run(ctx) }()
	var records []kissmetrics.Record
	for i := range perRound {
		records = append(records, event(from+i))
	}
	if err := s.Send(ctx, records); err != nil {
		return err
	}
	fmt.Println("stored")
	if err := s.Flush(ctx); err != nil {
		return err
	}
	select {} // until the end
}

// testCrashes kills a process while it uploads in parts: in every other round after the
// first part has arrived, and else at a random moment. Then nothing is lost, nothing is
// there twice, and no object is there in part.
func testCrashes(t *testing.T, address string, client *minio.Client) {
	require.NoError(t, client.MakeBucket(t.Context(), "crashes", minio.MakeBucketOptions{Region: region}))
	dir, rounds, dice := t.TempDir(), trial.Rounds(3, 25), trial.NewDice(t)
	between := holdingAt(t, address)
	held, torn := 0, make(map[string]bool)
	for round := range rounds {
		if round%2 == 0 {
			held++
			killed(t, dir, between.address, round, between.wait)
		} else {
			killed(t, dir, address, round, func() { <-time.After(dice.UpTo(400 * time.Millisecond)) })
		}
		for upload := range client.ListIncompleteUploads(t.Context(), "crashes", "", true) {
			require.NoError(t, upload.Err)
			parts, err := minio.Core{Client: client}.ListObjectParts(t.Context(), "crashes", upload.Key, upload.UploadID, 0, 10)
			require.NoError(t, err)
			if len(parts.ObjectParts) > 0 {
				torn[upload.UploadID] = true
			}
		}
	}
	assert.GreaterOrEqual(t, len(torn), held, "uploads were half done")
	s, err := bulk.Open(t.Context(), dir, bucketAt(address, "crashes"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	flush(t, s)
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, s.Close(t.Context()))
	assert.Equal(t, rounds*perRound, count(t, client, "crashes"))
	t.Logf("%d rounds; %d uploads in parts were half done", rounds, len(torn))
}

// killed starts a process that stores and uploads, and kills it at a moment.
func killed(t *testing.T, dir, address string, round int, moment func()) {
	t.Helper()
	program, err := os.Executable() // by its whole name: the gateway goes to another directory
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), childDirectory+"="+dir, childAddress+"="+address, fmt.Sprintf("%s=%d", childFirst, round*perRound))
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "stored\n", line)
	moment()
	require.NoError(t, cmd.Process.Kill())
	require.ErrorContains(t, cmd.Wait(), "killed")
}

// A holding is a proxy that never lets the second part of an upload through.
type holding struct {
	address string
	arrived chan struct{} // gets a value when a second part comes, hence the first was answered
}

// wait waits until a second part comes. If none does, the uploads that are half done
// are too few.
func (h *holding) wait() {
	select {
	case <-h.arrived:
	case <-time.After(time.Minute):
	}
}

func holdingAt(t *testing.T, address string) *holding {
	t.Helper()
	h := &holding{arrived: make(chan struct{}, 1)}
	proxy := httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: address})
		r.Out.Host = r.In.Host // which is signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("partNumber") != "2" {
			proxy.ServeHTTP(w, r)
			return
		}
		select {
		case h.arrived <- struct{}{}:
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	h.address = server.Listener.Addr().String()
	return h
}
