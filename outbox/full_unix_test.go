//go:build linux || darwin

package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// fillingTheDisk forbids its process files larger than they are, as a disk that
// is full does, and allows them again.
func fillingTheDisk(path, url string) error {
	signal.Ignore(syscall.SIGXFSZ)
	box, err := outbox.Open(context.Background(), path, quick)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = box.Run(ctx, sender(url)) }()
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	stored, failed := 0, 0
	send := func() error {
		err := box.Send(ctx, []kissmetrics.Record{record(strconv.Itoa(stored)), record(strconv.Itoa(stored) + "b")})
		if err == nil {
			stored++
		}
		return err
	}
	for round := range 3 {
		limited := syscall.Rlimit{Cur: uint64(64<<10 + round*50_000), Max: unlimited.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
			return err
		}
		for range 500 {
			if err := send(); err != nil {
				storage, ok := errors.AsType[*outbox.StorageError](err)
				if !ok || storage.Kind != outbox.StorageFailed && storage.Kind != outbox.StorageDiskFull {
					return fmt.Errorf("not the error that was to be expected: %w", err)
				}
				failed++
			}
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
			return err
		}
		if err := send(); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	if failed == 0 {
		return errors.New("the disk was never full")
	}
	if err := box.Flush(ctx); err != nil {
		return err
	}
	fmt.Println(stored)
	return box.Close(ctx)
}

func TestAFullDiskIsSurvived(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	output, err := child(t, "full disk", filepath.Join(t.TempDir(), "outbox.db"), server.URL).Output()
	require.NoError(t, err, "%s", output)
	stored, err := strconv.Atoi(strings.TrimSpace(string(output)))
	require.NoError(t, err)
	assert.Len(t, server.Events("ann"), 2*stored, "all that was accepted, and nothing that was refused")
}

// keepingALimit forbids its process files larger than its log is, as a disk that
// something else has filled does.
func keepingALimit(path, url string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	box, err := outbox.Open(ctx, path, quick)
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = 128 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	running, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	go func() { _ = box.Run(running, sender(url)) }()
	for i := range 100 { // each is at least two pages of the log
		message := []kissmetrics.Record{record(strconv.Itoa(i))}
		err = box.Send(running, message)
		for err != nil && running.Err() == nil { // while the relay reads, the log cannot begin anew
			err = box.Send(running, message)
		}
		if i%10 == 9 {
			err = errors.Join(err, box.Flush(running))
		}
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return box.Close(ctx)
}

// Where the log has no room to grow, but the file has for what is in it, the log
// begins anew: the outbox can go on on a full disk.
func TestTheLogBeginsAnewWhereTheDiskIsFull(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	runChild(t, "full log", filepath.Join(t.TempDir(), "outbox.db"), server.URL)
	assert.Len(t, server.Events("ann"), 100)
}

// fillingTheDiskEarly forbids its process larger files from the beginning.
func fillingTheDiskEarly(path, _ string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	box, err := outbox.Open(ctx, path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: uint64(info.Size()), Max: uint64(info.Size())} //nolint:gosec // not negative
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for i := range 500 { // each is at least two pages of the log
		if err := box.Send(ctx, []kissmetrics.Record{record(strconv.Itoa(i))}); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return box.Close(ctx)
}

// Others fill the disk when hardly anything has ever waited: the outbox goes on, and no
// Send fails.
func TestAFileThatIsNewHasRoomOnAFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	runChild(t, "full disk early", path, "")
	var recorder kissmetricstest.Recorder
	deliver(t, open(t, path), &recorder)
	assert.Len(t, recorder.Records(), 500)
}

// SQLite says of the numbers of messages what it says of the disk when there are
// no more, which is easier to bring about.
func TestAFullDiskIsToldAsSuch(t *testing.T) {
	db, box := shared(t)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	_, err := db.ExecContext(t.Context(), "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'kissmetrics_waiting'")
	require.NoError(t, err)
	err = box.Send(t.Context(), []kissmetrics.Record{record("b")})
	assert.True(t, isKind(err, outbox.StorageDiskFull), "%v", err)
}
