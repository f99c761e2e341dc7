//go:build linux || darwin

package outbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// readingOnly opens a file that it may not write.
func readingOnly(path, _ string) error {
	if err := syscall.Setuid(65534); err != nil && os.Getuid() == 0 { // the rights do not bind root
		return err
	}
	box, err := outbox.Open(context.Background(), path)
	if err != nil {
		return err
	}
	defer func() { _ = box.Close(context.Background()) }()
	err = box.Send(context.Background(), []kissmetrics.Record{record("b")})
	if storage, ok := errors.AsType[*outbox.StorageError](err); !ok || storage.Kind != outbox.StorageReadOnly {
		return fmt.Errorf("not the error that was to be expected: %v", err)
	}
	return nil
}

// readingOnlyDirectory opens files in a directory that it may not write.
func readingOnlyDirectory(path, _ string) error {
	if err := syscall.Setuid(65534); err != nil && os.Getuid() == 0 {
		return err
	}
	for _, path := range []string{path, path + "-new"} {
		box, err := outbox.Open(context.Background(), path)
		if err == nil {
			err = box.Send(context.Background(), []kissmetrics.Record{record("b")})
			_ = box.Close(context.Background())
		}
		if !isKind(err, outbox.StorageReadOnly) {
			return fmt.Errorf("not the error that was to be expected: %w", err)
		}
	}
	return nil
}

func TestAReadOnlyDirectoryIsAnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outbox.db")
	box, err := outbox.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	closeBox(t, box)
	for _, file := range []string{path, path + "-lock"} {
		require.NoError(t, os.Chmod(file, 0o666))
	}
	require.NoError(t, os.Chmod(dir, 0o555))
	defer func() { assert.NoError(t, os.Chmod(dir, 0o700)) }() // for it to be deleted
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	runChild(t, "read-only directory", path, "")
}

func TestAReadOnlyFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outbox.db")
	box, err := outbox.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	closeBox(t, box)
	require.NoError(t, os.Chmod(path, 0o444))
	require.NoError(t, os.Chmod(path+"-lock", 0o666))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // for another user to get there
	runChild(t, "read-only", path, "")
}

// makingFiles makes an outbox, damages it, and opens it again, under a umask that
// forbids nothing. It ends without closing, so that all its files stay.
func makingFiles(path, _ string) error {
	syscall.Umask(0)
	ctx := context.Background()
	box, err := outbox.Open(ctx, path)
	if err != nil {
		return err
	}
	if err := box.Send(ctx, []kissmetrics.Record{record("a")}); err != nil {
		return err
	}
	if err := box.Close(ctx); err != nil {
		return err
	}
	if err := os.Truncate(path, 5000); err != nil {
		return err
	}
	if box, err = outbox.Open(ctx, path); err != nil {
		return err
	}
	return box.Send(ctx, []kissmetrics.Record{record("b")})
}

// Identities are in the files, so nobody else may read them.
func TestFilesAreTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	runChild(t, "umask", filepath.Join(root, "var", "shop", "outbox.db"), "")
	var found []string
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "var"), func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		assert.Equal(t, want, info.Mode().Perm(), path)
		found = append(found, entry.Name())
		return nil
	}))
	assert.ElementsMatch(t, []string{
		"var", "shop", "outbox.db", "outbox.db-wal", "outbox.db-shm", "outbox.db-lock", "outbox.db.damaged-1",
	}, found)
}

// openingTooMany opens as many files as the process may, and then those of an outbox. It
// keeps what it has opened.
func openingTooMany(path, _ string) error {
	ctx := context.Background()
	log, written := io.Pipe()
	box, err := outbox.Open(ctx, path, outbox.WithLogger(slog.New(slog.NewTextHandler(written, nil))))
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	var opened []*os.File
	for err == nil {
		var file *os.File
		file, err = os.Open(os.DevNull)
		opened = append(opened, file)
	}
	defer runtime.KeepAlive(opened)
	if _, err := outbox.Open(ctx, path); !errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("opening it again: %w", err)
	}
	if err := box.Send(ctx, []kissmetrics.Record{record("a")}); err != nil {
		return err
	}
	go func() { _ = box.Run(ctx, new(kissmetricstest.Recorder)) }()
	line, err := bufio.NewReader(log).ReadString('\n')
	if !strings.Contains(line, syscall.EMFILE.Error()) {
		return fmt.Errorf("what Run logged: %q, %w", line, err)
	}
	return nil
}

// SQLite says that it cannot open a file, and not why.
func TestItIsToldThatTooManyFilesAreOpen(t *testing.T) {
	t.Parallel()
	runChild(t, "few files", filepath.Join(t.TempDir(), "outbox.db"), "")
}
