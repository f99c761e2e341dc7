package outbox_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// Two programs that opened one file by two names would each have a log of their own:
// of what they stored, only one part would be there in the end.
func TestAFileOfSeveralNamesIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db")
	box := open(t, first)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	require.NoError(t, box.Close(t.Context()))
	require.NoError(t, os.Link(first, second))
	before := snapshot(t, dir)
	for _, path := range []string{first, second} {
		for _, options := range [][]outbox.Option{nil, {outbox.WithSharedFile()}} {
			_, err := outbox.Open(t.Context(), path, options...)
			require.True(t, isKind(err, outbox.StorageForeign), "%v", err)
			require.ErrorContains(t, err, "hard link")
		}
	}
	assert.NoFileExists(t, second+"-wal")
	after := snapshot(t, dir)
	assert.Equal(t, before["a.db"], after["a.db"])

	require.NoError(t, os.Remove(second))
	var recorder kissmetricstest.Recorder
	deliver(t, open(t, first), &recorder)
	assert.Len(t, recorder.Records(), 1)
}

// What a program that was killed has left of making the file is no other name.
func TestTheNameAFileIsMadeUnderIsRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "[a-z]") // the name of a directory is no pattern
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "outbox.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	made := filepath.Join(dir, ".outbox-123")
	require.NoError(t, os.Link(path, made))
	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	assert.NoFileExists(t, made)
}

func TestManyMayMakeTheFileAtOnce(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(t.TempDir(), "outbox.db")
		var opening sync.WaitGroup
		for range 8 {
			opening.Go(func() {
				box, err := outbox.Open(t.Context(), path)
				if assert.NoError(t, err) {
					assert.NoError(t, box.Close(t.Context()))
				}
			})
		}
		opening.Wait()
	}
}

func TestAMountIsSeen(t *testing.T) {
	t.Parallel()
	assert.True(t, outbox.IsMounted("/proc"))
	assert.False(t, outbox.IsMounted(filepath.Join(t.TempDir(), "outbox.db")))
	assert.False(t, outbox.IsMounted(os.Args[0]))
}

// When a file system is unmounted under the outbox (umount -l), nothing is stored in the
// directory below, where nobody would find it again.
func TestNothingIsStoredWhereAMountIsMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "box", "outbox.db")
	dir := filepath.Dir(path)
	box := open(t, path, outbox.WithWatchEvery(time.Hour))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("before")}))
	box.Unmount()
	require.NoError(t, os.Rename(dir, dir+"-away"))
	require.NoError(t, os.Mkdir(dir, 0o700))
	for _, reason := range []string{"was deleted", "the mount that it was on"} {
		err := box.Send(t.Context(), []kissmetrics.Record{record("refused")})
		require.True(t, isKind(err, outbox.StorageDamaged), "%v", err)
		require.ErrorContains(t, err, reason)
	}
	require.NoError(t, os.Remove(dir), "nothing is in it")
	require.NoError(t, os.Rename(dir+"-away", dir))
	require.Eventually(t, func() bool {
		return box.Send(t.Context(), []kissmetrics.Record{record("after")}) == nil
	}, time.Minute, time.Millisecond)
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	assert.Subset(t, names(recorder.Records()), []string{"before", "after"})
	assert.NoFileExists(t, path+".damaged-1", "there was nothing to repair")
}
