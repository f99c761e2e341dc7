package bulk_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// stored returns a directory in which three messages are stored, each by a write.
func stored(t *testing.T) (dir string, file []byte) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir, bucketOf("http://127.0.0.1:1"))
	send(t, s, "a", "b", "c")
	closeSender(t, s)
	file, err := os.ReadFile(bulk.OpenPath(dir))
	require.NoError(t, err)
	return dir, file
}

// read returns what comes out of a directory.
func read(t *testing.T, dir string) (records []string, stats bulk.Stats) {
	t.Helper()
	shelf := new(shelf)
	s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
	stats = statsOf(t, s)
	send(t, s, "later")
	start(t, s)
	flush(t, s)
	require.Len(t, shelf.lists(), 1)
	closeSender(t, s)
	return shelf.lists()[0], stats
}

func TestWhatIsHalfWrittenIsCutOff(t *testing.T) {
	_, whole := stored(t)
	frame := len(whole) / 3
	for cut := 1; cut <= frame; cut += 7 {
		dir, file := stored(t)
		require.NoError(t, os.WriteFile(bulk.OpenPath(dir), file[:len(file)-cut], 0o600))
		got, stats := read(t, dir)
		require.Equal(t, []string{"a", "b", "later"}, got)
		require.EqualValues(t, 2, stats.Waiting)
		require.Zero(t, stats.DamagedBytes)
	}
}

func TestWhatAFailedDiskLeavesBehindIsCutOff(t *testing.T) {
	dir, file := stored(t)
	for name, tail := range map[string][]byte{"zeros": make([]byte, 5000), "a begun frame": file[:60], "text": []byte("KMB1KMB1")} {
		t.Run(name, func(t *testing.T) {
			dir := dir + name
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.WriteFile(bulk.OpenPath(dir), append(slices.Clip(file), tail...), 0o600))
			got, _ := read(t, dir)
			assert.Equal(t, []string{"a", "b", "c", "later"}, got)
		})
	}
}

func TestDamageCostsNoMoreThanItsWrite(t *testing.T) {
	_, whole := stored(t)
	frame := len(whole) / 3
	for at := range frame {
		if at%5 != 0 && at > 30 {
			continue
		}
		dir, file := stored(t)
		file[frame+at] ^= 0x10
		require.NoError(t, os.WriteFile(bulk.OpenPath(dir), file, 0o600))
		got, stats := read(t, dir)
		require.Equal(t, []string{"a", "c", "later"}, got, "at %d", at)
		require.EqualValues(t, frame, stats.DamagedBytes)
		kept, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
		require.NoError(t, err)
		require.Len(t, kept, 1, "what is damaged is kept")
	}
}

// On a machine of 32 bits the largest lengths are negative numbers.
func TestALengthThatIsDamagedIsNotBelieved(t *testing.T) {
	for _, length := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0x80}, {0, 0, 0, 0}} {
		dir, file := stored(t)
		copy(file[len(file)/3+4:], length)
		require.NoError(t, os.WriteFile(bulk.OpenPath(dir), file, 0o600))
		got, _ := read(t, dir)
		require.Equal(t, []string{"a", "c", "later"}, got, "%x", length)
	}
}

func TestADirectoryHasOneSender(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bucketOf("http://127.0.0.1:1"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := bulk.Open(ctx, dir, bucketOf("http://127.0.0.1:1"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "in use")

	opened := make(chan error)
	go func() {
		next, err := bulk.Open(t.Context(), dir, bucketOf("http://127.0.0.1:1"))
		if err == nil {
			err = next.Close(t.Context())
		}
		opened <- err
	}()
	closeSender(t, s)
	require.NoError(t, <-opened, "it waits for the one before")
}

func TestOpenRefusesABucketThatCannotBe(t *testing.T) {
	for _, name := range []string{"b", "shop events", "shop/events", "192.0.2.1", "shop..events"} {
		_, err := bulk.Open(t.Context(), t.TempDir(), bulk.Bucket{Name: name, Base: "shop"})
		require.ErrorIs(t, err, kissmetrics.ErrInvalidOption, name)
		require.ErrorContains(t, err, "the name of the bucket")
	}
}

func TestAFailingDiskRefusesAndRecovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	shelf := new(shelf)
	s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
	require.NoError(t, os.Rename(dir, dir+".away"))
	err := s.Send(t.Context(), []kissmetrics.Record{record("refused")})
	var storage *bulk.StorageError
	require.ErrorAs(t, err, &storage)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Zero(t, statsOf(t, s).Waiting)
	require.NoError(t, os.Rename(dir+".away", dir))
	send(t, s, "stored")
	start(t, s)
	flush(t, s)
	assert.Equal(t, [][]string{{"stored"}}, shelf.lists())
	closeSender(t, s)
}

func TestErrorsWithNothingInThemHaveATextToo(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&bulk.StorageError{}, &bulk.BucketError{}} {
		assert.NotPanics(t, func() { _ = err.Error() }, "%T", err)
	}
}

func TestOpenReportsEveryOptionThatIsWrong(t *testing.T) {
	_, err := bulk.Open(t.Context(), "", bulk.Bucket{Base: "-x", Endpoint: "shop", AccessKey: "a"}, nil, bulk.WithInterval(0),
		bulk.WithMaxRecords(0), bulk.WithBackoff(0, 0), bulk.WithRequestTimeout(0), bulk.WithLogger(nil))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, part := range []string{
		"directory", "no name", "base", "endpoint", "secret key", "option is nil", "WithInterval", "WithMaxRecords", "WithBackoff", "WithRequestTimeout", "WithLogger",
	} {
		assert.ErrorContains(t, err, part)
	}
}

// TestWhatIsNotedIsNotRepeated has a crash come between the note that a file is in the
// bucket and its removal, after which Kissmetrics has imported and deleted the object.
func TestWhatIsNotedIsNotRepeated(t *testing.T) {
	dir, shelf := t.TempDir(), new(shelf)
	to := bulk.Bucket{Name: "b", Base: "shop"}
	var file string
	var content []byte
	s := open(t, dir, to, bulk.WithPut(func(ctx context.Context, object, id string, lines io.Reader) (err error) {
		file = sealed(t, dir)[0]
		content, err = os.ReadFile(file)
		return errors.Join(err, shelf.put(ctx, object, id, lines))
	}))
	send(t, s, "a", "b")
	start(t, s)
	flush(t, s)
	closeSender(t, s)
	require.NoError(t, os.WriteFile(file, content, 0o600))

	s = open(t, dir, to, bulk.WithPut(shelf.put))
	send(t, s, "c")
	start(t, s)
	flush(t, s)
	assert.Equal(t, [][]string{{"a", "b"}, {"c"}}, shelf.lists())
	assert.EqualValues(t, 3, statsOf(t, s).Delivered)
	assert.Empty(t, sealed(t, dir))
}
