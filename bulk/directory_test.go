package bulk_test

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// closed leaves records behind in a file that is closed, and waits to be uploaded.
func closed(t *testing.T, dir string, names ...string) {
	t.Helper()
	s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut((&shelf{away: true}).put))
	stop := start(t, s)
	send(t, s, names...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, s.Flush(ctx), context.DeadlineExceeded)
	stop()
	closeSender(t, s)
	require.NotEmpty(t, sealed(t, dir))
}

// The name of a directory is no pattern.
func TestAnyNameOfADirectoryWillDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, shelf := filepath.Join(t.TempDir(), "[shop] 1"), new(shelf)
		require.NoError(t, os.Mkdir(dir, 0o700))
		closed(t, dir, "a")
		s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
		assert.EqualValues(t, 1, statsOf(t, s).Waiting)
		stop := start(t, s)
		flush(t, s)
		stop()
		closeSender(t, s)
		assert.Equal(t, [][]string{{"a"}}, shelf.lists())
	})
}

// Whoever takes over from a machine that is gone moves its closed files to another
// directory. They may have the second of one that is already in the bucket.
func TestFilesOfAnotherDirectoryAreDeliveredToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, others, shelf, to := t.TempDir(), []string{t.TempDir(), t.TempDir()}, new(shelf), bulk.Bucket{Name: "b", Base: "shop"}
		s := open(t, dir, to, bulk.WithPut(shelf.put))
		stop := start(t, s)
		send(t, s, "a")
		flush(t, s)
		stop()
		closeSender(t, s)
		closed(t, others[0], "b", "c")
		closed(t, others[1], "d")
		for _, other := range others {
			file := sealed(t, other)[0]
			require.NoError(t, os.Rename(file, filepath.Join(dir, filepath.Base(file))))
		}
		s = open(t, dir, to, bulk.WithPut(shelf.put))
		send(t, s, "e")
		assert.EqualValues(t, 4, statsOf(t, s).Waiting)
		stop = start(t, s)
		flush(t, s)
		stop()
		assert.Equal(t, [][]string{{"a"}, {"b", "c"}, {"d"}, {"e"}}, shelf.lists())
		assert.Zero(t, statsOf(t, s).Waiting)
		assert.EqualValues(t, 5, statsOf(t, s).Delivered)
		closeSender(t, s)
	})
}

// A Flush of a day whose clock was a year ahead has noted when the next file may be
// closed. That counts no more when the clock has been set back.
func TestAClockThatWasAheadMakesNoMoreFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, shelf := t.TempDir(), new(shelf)
		ahead := `{"last_object":"shop-20010101T000000Z.json","last_time":"2001-01-01T00:00:00Z","last_file":"X","not_before":"2001-01-01T02:00:00Z"}`
		require.NoError(t, os.WriteFile(filepath.Join(dir, "state.json"), []byte(ahead), 0o600))
		s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
		stop := start(t, s)
		for _, name := range []string{"a", "b", "c", "d"} {
			send(t, s, name)
			time.Sleep(25 * time.Minute)
		}
		time.Sleep(time.Hour)
		assert.Equal(t, [][]string{{"a", "b", "c"}, {"d"}}, shelf.lists())
		assert.Equal(t, []string{"shop-20010101T000001Z.json", "shop-20010101T000002Z.json"}, shelf.names(), "in the order of time")
		stop()
		closeSender(t, s)
	})
}

// What was noted of earlier files is gone then, and nothing else.
func TestADamagedStateIsAnEmptyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, shelf := t.TempDir(), new(shelf)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "state.json"), []byte(`{"last_object":"shop-20010101T000000Z.json","deliv`), 0o600))
		s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
		stop := start(t, s)
		send(t, s, "a")
		flush(t, s)
		stop()
		assert.Equal(t, [][]string{{"a"}}, shelf.lists())
		assert.EqualValues(t, 1, statsOf(t, s).Delivered)
		closeSender(t, s)
	})
}

// The open file of a machine whose clock was days ahead would otherwise stay open for
// days when the clock has been set back.
func TestAFileThatWasBegunByAClockThatWasAheadIsClosedAtOnce(t *testing.T) {
	dir, shelf := t.TempDir(), new(shelf)
	to := bulk.Bucket{Name: "b", Base: "shop"}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(72 * time.Hour)
		s := open(t, dir, to, bulk.WithPut(shelf.put))
		send(t, s, "a")
		closeSender(t, s)
	})
	synctest.Test(t, func(t *testing.T) { // each begins at the same time
		s := open(t, dir, to, bulk.WithPut(shelf.put))
		stop := start(t, s)
		time.Sleep(time.Minute)
		assert.Equal(t, [][]string{{"a"}}, shelf.lists())
		stop()
		closeSender(t, s)
	})
}

// People remove a lock that they take for a forgotten one, or what fills a disk. Nothing
// is accepted from then on: it would be written where nobody finds it, or over what
// another sender writes.
func TestWhatIsRemovedIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"the lock":      remove("lock"),
		"the open file": remove("open"),
		"all":           remove("."),
		"the lock is another's": func(t *testing.T, dir string) {
			t.Helper()
			remove("lock")(t, dir)
			other := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(new(shelf).put))
			send(t, other, "other")
		},
		"the directory is a copy": func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Rename(dir, dir+".away"))
			require.NoError(t, os.CopyFS(dir, os.DirFS(dir+".away")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "spool")
			s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(new(shelf).put))
			send(t, s, "before")
			spoil(t, dir)
			for range 2 {
				err := s.Send(t.Context(), []kissmetrics.Record{record("after")})
				var storage *bulk.StorageError
				require.ErrorAs(t, err, &storage)
			}
			assert.EqualValues(t, 1, statsOf(t, s).Waiting)
		})
	}
}

func TestAFlushWhoseContextHasEndedLeavesTheFileOpen(t *testing.T) {
	inBubble(t, func(t *testing.T, s *bulk.Sender, shelf *shelf) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		send(t, s, "a")
		require.ErrorIs(t, s.Flush(ended), context.Canceled)
		time.Sleep(time.Minute)
		assert.Empty(t, shelf.names())
		send(t, s, "b")
		time.Sleep(time.Hour)
		assert.Equal(t, [][]string{{"a", "b"}}, shelf.lists())
	})
}

func TestADirectoryHasOneProcess(t *testing.T) {
	t.Parallel()
	dir, s3 := t.TempDir(), newServer(t)
	other := child(t, "crash", dir, s3.URL)
	stdout, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "it has stored something")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = bulk.Open(ctx, dir, bucketOf(s3.URL))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "in use")
	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())
	open(t, dir, bucketOf(s3.URL))
}
