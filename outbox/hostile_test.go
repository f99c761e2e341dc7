package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

func TestNilIsNoPanic(t *testing.T) {
	db, box := shared(t)
	var none context.Context
	require.NoError(t, outbox.Migrate(none, db))
	require.ErrorContains(t, outbox.Migrate(t.Context(), nil), "nil")
	require.NoError(t, box.Send(none, []kissmetrics.Record{record("a")}))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.SendTx(none, tx, []kissmetrics.Record{record("b")}))
	require.NoError(t, tx.Commit())
	require.ErrorContains(t, box.SendTx(t.Context(), nil, []kissmetrics.Record{record("c")}), "nil")
	stats, err := box.Stats(none)
	require.NoError(t, err)
	assert.EqualValues(t, 2, stats.Waiting)

	require.ErrorContains(t, box.Run(t.Context(), nil), "nil")
	var recorder *kissmetricstest.Recorder
	require.ErrorContains(t, box.Run(t.Context(), recorder), "nil")
	recorder = new(kissmetricstest.Recorder)
	running := make(chan error)
	go func() { running <- box.Run(none, recorder) }()
	require.NoError(t, box.Flush(none))
	assert.Len(t, recorder.Records(), 2)
	for p, err := range box.Parked(none) {
		require.NoError(t, err)
		assert.Fail(t, "nothing is parked", "%v", p.Reason)
	}
	require.ErrorIs(t, box.Requeue(none, 1), outbox.ErrNotParked)
	require.ErrorIs(t, box.Delete(none, 1), outbox.ErrNotParked)
	require.NoError(t, box.Close(none))
	require.ErrorIs(t, <-running, kissmetrics.ErrClosed)
}

func TestSendTxOfATransactionThatHasEnded(t *testing.T) {
	db, box := shared(t)
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, end(tx))
		require.ErrorIs(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("a")}), sql.ErrTxDone)
	}
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.Zero(t, stats.Waiting)
}

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.Mkdir("dir", 0o755))
	for _, path := range []string{
		"relative.db", "a?b.db", "a?mode=ro&x=.db", "a#b.db", "a%20b.db", "a b+c.db", "ü\n'\".db", "./dir/../x.db", ":memory:", "file:x.db", "\xff.db",
	} {
		box := open(t, path)
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}), "%q", path)
		require.NoError(t, box.Close(t.Context()), "%q", path)
		require.FileExists(t, path, "%q", path)
		box = open(t, path)
		stats, err := box.Stats(t.Context())
		require.NoError(t, err, "%q", path)
		assert.EqualValues(t, 1, stats.Waiting, "%q", path)
	}
	require.NoError(t, os.Symlink("around", "round"))
	require.NoError(t, os.Symlink("round", "around"))
	for path, reason := range map[string]string{
		"dir":              "is a directory",
		"relative.db/x.db": "not a directory",
		"round":            "too many levels of symbolic links",
	} {
		_, err := outbox.Open(t.Context(), path)
		require.ErrorContains(t, err, reason)
		assert.Equal(t, 1, strings.Count(err.Error(), "storage failed"), "%v", err)
		assert.True(t, isKind(err, outbox.StorageFailed), "%v", err)
	}
	for _, path := range []string{"", "a\x00b.db"} {
		_, err := outbox.Open(t.Context(), path)
		require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	}
}

func isKind(err error, kind outbox.StorageKind) bool {
	failed, ok := errors.AsType[*outbox.StorageError](err)
	return ok && failed.Kind == kind
}

// A link and what it leads to are one outbox, with one lock.
func TestALinkIsTheFileItLeadsTo(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "real", "links"), 0o755))
	path := filepath.Join(dir, "real", "outbox.db")
	require.NoError(t, os.Symlink("../outbox.db", filepath.Join(dir, "real", "links", "link"))) // to nothing, yet
	require.NoError(t, os.Symlink(filepath.Join(dir, "real", "links"), filepath.Join(dir, "links")))
	link := filepath.Join(dir, "links", "link")

	box := open(t, link)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	require.FileExists(t, path)
	other := open(t, path)
	var one, two kissmetricstest.Recorder
	start(t, other, &one)
	require.NoError(t, box.Flush(t.Context()))
	start(t, box, &two)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("b")}))
	require.NoError(t, box.Flush(t.Context()))
	assert.Len(t, one.Records(), 2)
	assert.Empty(t, two.Records(), "only one delivers")

	// What is damaged is exchanged where it is.
	closeBox(t, box)
	closeBox(t, other)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append([]byte("no header"), data...), 0o600))
	box = open(t, link)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("c")}))
	require.FileExists(t, path+".damaged-1")
	info, err := os.Lstat(filepath.Join(dir, "real", "links", "link"))
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink, "it is a link still")
}

// senderFunc is a function as a Sender.
type senderFunc func(ctx context.Context, records []kissmetrics.Record) error

func (f senderFunc) Send(ctx context.Context, records []kissmetrics.Record) error {
	return f(ctx, records)
}

// What a next sender says of records may be anything. Nothing is lost by it, and
// it holds up nothing.
func TestANextSenderThatIsWrong(t *testing.T) {
	t.Parallel()
	refused := func(wrong ...kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, StatusCode: 400, Refused: wrong}
	}
	message := []kissmetrics.Record{record("a"), record("b")}
	for name, test := range map[string]struct {
		answer func(records []kissmetrics.Record) error
		parked []kissmetrics.Record // the rest is delivered in the end
	}{
		"it refuses what is no record":      {func([]kissmetrics.Record) error { return refused(kissmetrics.Record{}, kissmetrics.Record{}) }, message},
		"it refuses a part that is none":    {func(r []kissmetrics.Record) error { return refused(r[0], kissmetrics.Record{}) }, message},
		"it refuses more than there is":     {func(r []kissmetrics.Record) error { return refused(r[0], r[1], r[0]) }, message},
		"it refuses, and does not say what": {func([]kissmetrics.Record) error { return refused() }, message},
		"it refuses less than there is":     {func(r []kissmetrics.Record) error { return refused(r[0]) }, message},
		"it refuses others":                 {func([]kissmetrics.Record) error { return refused(record("x"), record("y")) }, []kissmetrics.Record{record("x"), record("y")}},
		"it refuses a part": {func(r []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Delivered: r[:1], Refused: r[1:]}
		}, message[1:]},
		"it refuses a part, and the rest may pass": {func(r []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Refused: r[:1], Undelivered: r[1:]}
		}, message[:1]},
		"its error is in another's": {func(r []kissmetrics.Record) error { return fmt.Errorf("s3cret: %w", refused(r...)) }, message},
		"its error is in another's, invalid": {func([]kissmetrics.Record) error {
			return fmt.Errorf("s3cret: %w", &kissmetrics.ValidationError{Field: "event", Reason: "is not taken"})
		}, message},
		"it gives back others": {func(r []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: r[:1], Undelivered: []kissmetrics.Record{record("x")}}
		}, nil},
		"it was canceled by itself": {func(r []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureCanceled, Undelivered: r}
		}, nil},
		"its error has no kind": {func([]kissmetrics.Record) error { return &kissmetrics.DeliveryError{} }, nil},
		"it is closed":          {func([]kissmetrics.Record) error { return kissmetrics.ErrClosed }, nil},
		"it is full":            {func([]kissmetrics.Record) error { return outbox.ErrFull }, nil},
		"it changes the records": {func(r []kissmetrics.Record) error {
			clear(r)
			return errors.New("and fails")
		}, nil},
		"it panics": {func([]kissmetrics.Record) error { panic("s3cret") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log trial.Log
			box := open(t, filepath.Join(t.TempDir(), "outbox.db"), outbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			require.NoError(t, box.Send(t.Context(), message))
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("other")}))
			var recorder kissmetricstest.Recorder
			first := true
			deliver(t, box, senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
				if records[0].Name == "a" && first {
					first = false
					return test.answer(records)
				}
				return recorder.Send(ctx, records)
			}))
			var parked []kissmetrics.Record
			for p, err := range box.Parked(t.Context()) {
				require.NoError(t, err)
				assert.NotEmpty(t, p.Reason)
				assert.NotContains(t, p.Reason, "s3cret")
				parked = append(parked, p.Records...)
			}
			assert.Equal(t, test.parked, parked)
			want := []string{"other"}
			if test.parked == nil {
				want = []string{"a", "b", "other"}
			}
			var delivered []string
			for _, r := range recorder.Records() {
				delivered = append(delivered, r.Name)
			}
			slices.Sort(delivered)
			if strings.Contains(name, "rest may pass") {
				want = []string{"b", "other"}
			}
			assert.Equal(t, want, delivered)
			stats, err := box.Stats(t.Context())
			require.NoError(t, err)
			assert.Zero(t, stats.Waiting)
			assert.Zero(t, stats.WaitingBytes)
			assert.Equal(t, test.parked != nil, strings.Contains(log.String(), "records were refused, and are parked"), "%s", log.String())
			assert.NotContains(t, log.String(), "s3cret")
		})
	}
}

// What is committed to a file that is not there any more is not stored.
func TestAFileThatIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(path string) error{
		"deleted": func(path string) error {
			return errors.Join(os.Remove(path), os.Remove(path+"-wal"), os.Remove(path+"-shm"))
		},
		"log deleted": func(path string) error { return os.Remove(path + "-wal") },
		"renamed":     func(path string) error { return os.Rename(path, path+"-old") },
		"replaced": func(path string) error {
			other, err := outbox.Open(context.Background(), path+"-new")
			if err != nil {
				return err
			}
			err = other.Send(context.Background(), []kissmetrics.Record{record("new")})
			return errors.Join(err, other.Close(context.Background()), os.Rename(path+"-new", path), os.Remove(path+"-wal"), os.Remove(path+"-shm"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			box := open(t, path)
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("before")}))
			require.NoError(t, away(path))
			err := box.Send(t.Context(), []kissmetrics.Record{record("lost")})
			assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)

			// It works as if nothing had been, and what is accepted is in the file.
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("after")}))
			closeBox(t, box)
			box = open(t, path)
			var recorder kissmetricstest.Recorder
			deliver(t, box, &recorder)
			var names []string
			for _, r := range recorder.Records() {
				names = append(names, r.Name)
			}
			assert.Contains(t, names, "after")
			assert.NoFileExists(t, path+".damaged-1", "what is there is in order")
			if name == "replaced" {
				assert.Contains(t, names, "new")
			}
			if name == "log deleted" {
				assert.Contains(t, names, "before")
			}
		})
	}
}

// One that SQLite could not store would fail all that are committed with it.
func TestAMessageThatIsTooLargeIsRefusedAlone(t *testing.T) {
	line, err := record("a").MarshalJSON()
	require.NoError(t, err)
	db, box := shared(t, outbox.WithMaxMessage(len(line)+1+24))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	require.ErrorIs(t, box.Send(t.Context(), []kissmetrics.Record{record("bc")}), outbox.ErrFull)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.ErrorIs(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("bc")}), outbox.ErrFull)
	require.NoError(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("b")}))
	require.NoError(t, tx.Commit())
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 2, stats.Waiting)
}

// What is read ahead is bounded in bytes as well, however large the messages are.
func TestLargeMessagesAreNotReadAllAtOnce(t *testing.T) {
	const messages, size = 100, 512 << 10
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"))
	large := record("large")
	large.Properties = nil
	for i := range size / 8000 {
		large.Properties = append(large.Properties, kissmetrics.Property{Name: fmt.Sprintf("P%04d", i), Value: strings.Repeat("z", 8000)})
	}
	var senders sync.WaitGroup
	for range messages {
		senders.Go(func() { assert.NoError(t, box.Send(t.Context(), []kissmetrics.Record{large})) })
	}
	senders.Wait()
	arrived, leave := make(chan struct{}), make(chan struct{})
	runtime.GC()
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	start(t, box, senderFunc(func(context.Context, []kissmetrics.Record) error {
		select {
		case arrived <- struct{}{}:
		case <-leave:
		}
		return nil
	}))
	<-arrived
	require.Eventually(t, func() bool { // until no more is read
		last := during.TotalAlloc
		runtime.ReadMemStats(&during)
		return during.TotalAlloc-last < 64<<10
	}, time.Minute, 20*time.Millisecond)
	close(leave)
	// 8 MiB are read ahead, and more is read to go on with, in several forms.
	assert.Less(t, during.TotalAlloc-before.TotalAlloc, uint64(2*messages*size))
	require.NoError(t, box.Flush(t.Context()))
}

func TestARefusalCausedByErrClosedIsARefusal(t *testing.T) {
	t.Parallel()
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("e")}))
	deliver(t, box, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Refused: slices.Clone(records), Err: kissmetrics.ErrClosed}
	}))
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, stats.Parked)
}
