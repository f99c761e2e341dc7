package s3test

import (
	"bufio"
	"context"
	"fmt"
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

// testCrashes kills a process while it uploads in parts. Then nothing is lost, nothing
// is there twice, and no object is there in part.
func testCrashes(t *testing.T, address string, client *minio.Client) {
	require.NoError(t, client.MakeBucket(t.Context(), "crashes", minio.MakeBucketOptions{Region: region}))
	program, err := os.Executable() // by its whole name: the gateway goes to another directory
	require.NoError(t, err)
	dir, rounds, dice := t.TempDir(), trial.Rounds(3, 25), trial.NewDice(t)
	torn := 0
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), program) //nolint:gosec // this program
		cmd.Env = append(os.Environ(), childDirectory+"="+dir, childAddress+"="+address, fmt.Sprintf("%s=%d", childFirst, round*perRound))
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "stored\n", line)
		time.AfterFunc(dice.UpTo(400*time.Millisecond), func() { _ = cmd.Process.Kill() })
		require.ErrorContains(t, cmd.Wait(), "killed")
		for upload := range client.ListIncompleteUploads(t.Context(), "crashes", "", true) {
			require.NoError(t, upload.Err)
			torn++
		}
	}
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
	t.Logf("%d rounds; an upload in parts was seen half done %d times", rounds, torn)
}
