//go:build linux || darwin

package bulk_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// filling sends from several goroutines until the disk has been full for a while, which
// a limit of the size of files stands for, says what was stored, and ends as if it were
// killed.
func filling(dir, _ string) error {
	signal.Ignore(syscall.SIGXFSZ) // which would end the process
	ctx := context.Background()
	s, err := bulk.Open(ctx, dir, bucketOf("http://127.0.0.1:1"))
	if err != nil {
		return err
	}
	limit := func(bytes uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: 1 << 30})
	}
	for step := range 20 {
		// Full at a size that no write ends at, and then not.
		if err := errors.Join(limit(uint64(1000+5000*step)), sendAll(ctx, s, fmt.Sprintf("full%d", step), 60), //nolint:gosec // small
			limit(1<<29), sendAll(ctx, s, fmt.Sprintf("room%d", step), 5)); err != nil {
			return err
		}
	}
	os.Exit(0)
	return nil
}

// sendAll sends so many messages at once, and says which were stored. The error is that
// of a refusal that does not say why.
func sendAll(ctx context.Context, s *bulk.Sender, name string, n int) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() {
			name := fmt.Sprintf("%s-%d", name, i)
			switch err := s.Send(ctx, []kissmetrics.Record{record(name)}); {
			case err == nil:
				fmt.Println("stored", name)
			case errors.Is(err, syscall.EFBIG):
				fmt.Println("refused", name)
			default:
				errs[i] = err
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func TestAFullDiskRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir, s3 := t.TempDir(), newServer(t)
	cmd := child(t, "fill", dir, "")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stored, refused := make(map[string]bool), 0
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		switch what, name, _ := strings.Cut(lines.Text(), " "); what {
		case "stored":
			stored[name] = true
		case "refused":
			refused++
		default:
			t.Error(lines.Text())
		}
	}
	require.NoError(t, cmd.Wait())
	require.Positive(t, refused)
	for step := range 20 {
		require.True(t, stored[fmt.Sprintf("room%d-0", step)], "there was room again")
	}
	s := open(t, dir, bucketOf(s3.URL))
	start(t, s)
	flush(t, s)
	arrived := names(s3.records(t))
	assert.Len(t, arrived, len(stored), "nothing that was refused")
	for _, name := range arrived {
		assert.True(t, stored[name], name)
		delete(stored, name)
	}
	assert.Empty(t, stored)
	assert.Zero(t, statsOf(t, s).DamagedBytes)
	t.Logf("%d stored, %d refused", len(arrived), refused)
}

// TestADiskThatCannotSyncRefuses has every third sync fail, as a disk that could not
// write does.
func TestADiskThatCannotSyncRefuses(t *testing.T) {
	t.Parallel()
	dir, shelf := t.TempDir(), new(shelf)
	var syncs atomic.Int64
	failing := bulk.WithSync(func(f *os.File) error {
		if syncs.Add(1)%3 == 0 {
			return syscall.EIO
		}
		return f.Sync()
	})
	s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put), failing)
	var stored []string
	refused := false
	for i := 0; i < 50 || !refused; i++ { // the last one is refused
		name := fmt.Sprintf("e%d", i)
		err := s.Send(t.Context(), []kissmetrics.Record{record(name)})
		if refused = err != nil; !refused {
			stored = append(stored, name)
			continue
		}
		var storage *bulk.StorageError
		require.ErrorAs(t, err, &storage)
		require.ErrorIs(t, err, syscall.EIO)
	}
	require.NotEmpty(t, stored)
	assert.EqualValues(t, len(stored), statsOf(t, s).Waiting)
	closeSender(t, s)
	s = open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
	start(t, s)
	flush(t, s)
	assert.Equal(t, [][]string{stored}, shelf.lists())
}
