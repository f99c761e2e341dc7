package reconcile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// archived returns the records in a folder.
func archived(t *testing.T, dir string) []kissmetrics.Record {
	t.Helper()
	files, err := reconcile.Open(dir)
	require.NoError(t, err)
	var all []kissmetrics.Record
	for r, err := range files.Records() {
		require.NoError(t, err)
		all = append(all, r)
	}
	assert.Equal(t, files.Size(), files.Read())
	return all
}

func event(n int) kissmetrics.Record {
	return kissmetrics.NewEvent("ann", "e", at(n), kissmetrics.Number("n", n))
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "archive-*.json"))
	require.NoError(t, err)
	return names
}

func TestArchiveWritesDownWhatTheNextSenderIsGiven(t *testing.T) {
	t.Parallel()
	dir, recorder := filepath.Join(t.TempDir(), "archive"), &kissmetricstest.Recorder{}
	a, err := reconcile.NewArchive(dir, recorder, reconcile.WithFileSize(150), reconcile.WithSync())
	require.NoError(t, err)
	var want []kissmetrics.Record
	for n := range 10 {
		want = append(want, event(n))
		require.NoError(t, a.Send(t.Context(), want[n:]))
	}
	require.NoError(t, a.Flush(t.Context()))
	require.NoError(t, a.Close(t.Context()))
	require.NoError(t, a.Close(t.Context()))
	require.ErrorIs(t, a.Send(t.Context(), want[:1]), kissmetrics.ErrClosed)
	assert.Equal(t, want, archived(t, dir))
	assert.Equal(t, want, recorder.Records())
	assert.Len(t, files(t, dir), 3, "four lines a file")
	stats, err := a.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 10, stats.Records)
	info, err := os.Stat(files(t, dir)[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestArchiveRemovesTheOldestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine.json"), make([]byte, 1000), 0o600))
	a, err := reconcile.NewArchive(dir, &kissmetricstest.Recorder{}, reconcile.WithFileSize(1), reconcile.WithMaxBytes(200))
	require.NoError(t, err)
	for n := range 10 {
		require.NoError(t, a.Send(t.Context(), []kissmetrics.Record{event(n)}))
	}
	require.NoError(t, a.Close(t.Context()))
	stats, err := a.Stats(t.Context())
	require.NoError(t, err)
	left := len(files(t, dir))
	assert.Less(t, left, 6)
	assert.EqualValues(t, 10-left, stats.RemovedFiles)
	require.NoError(t, os.Remove(filepath.Join(dir, "mine.json")))
	all := archived(t, dir)
	assert.Equal(t, event(9), all[len(all)-1])
}

func TestArchiveDoesNotSendWhatItCannotWrite(t *testing.T) {
	t.Parallel()
	dir, recorder := filepath.Join(t.TempDir(), "archive"), &kissmetricstest.Recorder{}
	a, err := reconcile.NewArchive(dir, recorder)
	require.NoError(t, err)
	require.NoError(t, os.Remove(dir))
	err = a.Send(t.Context(), []kissmetrics.Record{event(1)})
	failure, ok := errors.AsType[*kissmetrics.DeliveryError](err)
	require.True(t, ok)
	assert.True(t, failure.Retryable())
	assert.Equal(t, []kissmetrics.Record{event(1)}, failure.Undelivered)
	assert.NotContains(t, err.Error(), dir)
	assert.Empty(t, recorder.Records())

	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, a.Send(t.Context(), []kissmetrics.Record{event(1)}))
	require.NoError(t, a.Close(t.Context()))
	assert.Len(t, archived(t, dir), 1)
}

type panicking struct{}

func (panicking) Send(context.Context, []kissmetrics.Record) error { panic("secret") }
func (panicking) Flush(context.Context) error                      { panic("secret") }

func TestArchiveMakesAPanicOfTheNextSenderAnError(t *testing.T) {
	t.Parallel()
	a, err := reconcile.NewArchive(t.TempDir(), panicking{})
	require.NoError(t, err)
	assert.Equal(t, kissmetrics.ErrSenderPanicked, a.Send(t.Context(), []kissmetrics.Record{event(1)}))
	assert.Equal(t, kissmetrics.ErrSenderPanicked, a.Flush(t.Context()))
	require.NoError(t, a.Close(t.Context()))
}

func TestArchiveBeginsANewFileAfterAFailure(t *testing.T) {
	t.Parallel()
	dir, recorder := t.TempDir(), &kissmetricstest.Recorder{}
	a, err := reconcile.NewArchive(dir, recorder)
	require.NoError(t, err)
	require.NoError(t, a.Send(t.Context(), []kissmetrics.Record{event(1)}))
	a.BreakFile()
	_, ok := errors.AsType[*kissmetrics.DeliveryError](a.Send(t.Context(), []kissmetrics.Record{event(2)}))
	require.True(t, ok)
	require.NoError(t, a.Send(t.Context(), []kissmetrics.Record{event(3)}))
	require.NoError(t, a.Close(t.Context()))
	assert.Equal(t, []kissmetrics.Record{event(1), event(3)}, archived(t, dir))
	assert.Equal(t, archived(t, dir), recorder.Records())
	assert.Len(t, files(t, dir), 2)
}

func TestArchiveSendsNothingThatTheDiskDoesNotHave(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []reconcile.ArchiveOption
		syncs   int // of two messages, before the file is closed
	}{
		"where every Send waits for the disk": {[]reconcile.ArchiveOption{reconcile.WithSync()}, 2},
		"where none does":                     {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failure error
			syncs, recorder := 0, &kissmetricstest.Recorder{}
			fsync := func(*os.File) error { syncs++; return failure }
			a, err := reconcile.NewArchive(t.TempDir(), recorder, append(test.options, reconcile.WithFsync(fsync))...)
			require.NoError(t, err)
			require.NoError(t, a.Send(t.Context(), []kissmetrics.Record{event(1)}))
			require.NoError(t, a.Send(t.Context(), []kissmetrics.Record{event(2)}))
			assert.Equal(t, test.syncs, syncs)

			failure = errors.New("the disk is gone")
			err = a.Send(t.Context(), []kissmetrics.Record{event(3)})
			assert.Equal(t, test.syncs > 0, errors.Is(err, failure), "%v", err)
			assert.Len(t, recorder.Records(), 3-min(test.syncs, 1))
			failure = nil
			require.NoError(t, a.Close(t.Context()))
		})
	}
}

func TestArchiveRefusesWhatIsNotValid(t *testing.T) {
	t.Parallel()
	recorder := &kissmetricstest.Recorder{}
	a, err := reconcile.NewArchive(t.TempDir(), recorder)
	require.NoError(t, err)
	err = a.Send(t.Context(), []kissmetrics.Record{{Kind: kissmetrics.KindEvent}})
	_, ok := errors.AsType[*kissmetrics.ValidationError](err)
	assert.True(t, ok)
	assert.Empty(t, recorder.Records())
	require.NoError(t, a.Close(t.Context()))
}

func TestArchiveTakesAnAliasWithoutTime(t *testing.T) {
	t.Parallel()
	dir, recorder := t.TempDir(), &kissmetricstest.Recorder{}
	a, err := reconcile.NewArchive(dir, recorder)
	require.NoError(t, err)
	alias := []kissmetrics.Record{kissmetrics.NewAlias("anon", "ann", time.Time{})}
	require.NoError(t, a.Send(t.Context(), alias))
	require.NoError(t, a.Close(t.Context()))
	assert.Equal(t, alias, recorder.Records(), "the next sender gets it as it was")
	assert.Equal(t, "ann", archived(t, dir)[0].Name)
}

func TestArchiveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	a, err := reconcile.NewArchive(t.TempDir(), &kissmetricstest.Recorder{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, a.Send(ctx, []kissmetrics.Record{event(1)}), context.Canceled)
	require.NoError(t, a.Close(t.Context()))
}

func TestArchiveOptions(t *testing.T) {
	t.Parallel()
	for _, next := range []kissmetrics.Sender{nil, (*kissmetrics.Queue)(nil)} {
		_, err := reconcile.NewArchive(t.TempDir(), next, reconcile.WithFileSize(0), nil, reconcile.WithMaxBytes(-1), reconcile.WithLogger(nil))
		require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
		for _, problem := range []string{"NewArchive: the next sender is nil", "WithFileSize", "an option is nil", "WithMaxBytes", "WithLogger"} {
			assert.ErrorContains(t, err, "kissmetrics: invalid option: reconcile: "+problem)
		}
	}
}

func TestAnArchiveNeedsNoContext(t *testing.T) {
	t.Parallel()
	var none context.Context
	dir := t.TempDir()
	a, err := reconcile.NewArchive(dir, &kissmetricstest.Recorder{})
	require.NoError(t, err)
	require.NoError(t, a.Send(none, []kissmetrics.Record{event(1)}))
	require.NoError(t, a.Flush(none))
	stats, err := a.Stats(none)
	require.NoError(t, err)
	assert.EqualValues(t, 1, stats.Records)
	require.NoError(t, a.Close(none))
	files, err := reconcile.Open(dir)
	require.NoError(t, err)
	r, err := reconcile.New()
	require.NoError(t, err)
	for d, err := range r.Differences(none, files.Records(), files.Records()) {
		t.Error(d, err)
	}
	assert.EqualValues(t, 1, r.Counts().Arrived)
}
