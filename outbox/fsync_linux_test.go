package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// A disk decides about every fsync and fdatasync of its process: the kernel asks
// it, by seccomp's user notification, for SQLite makes its system calls without a
// C library that could be told to. It cannot be taken away again, so that it is
// for a child process.
type disk struct {
	fails atomic.Bool  // with EIO, as a disk that could not write does
	syncs atomic.Int64 // that succeeded
}

// The structures of linux/seccomp.h that x/sys has not.
type (
	notification struct {
		id    uint64
		pid   uint32
		flags uint32
		data  struct {
			number int32
			arch   uint32
			at     uint64
			args   [6]uint64
		}
	}
	answer struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

// install puts the disk in place.
func (d *disk) install() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const everyThread = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		everyThread|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	go d.decide(listener)
	return nil
}

func (d *disk) decide(listener uintptr) {
	for {
		var asked notification
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&asked)))
		if errno == unix.EINTR || errno == unix.ENOENT { // a signal came first: the call is made again
			continue
		}
		if errno != 0 {
			panic(errno) // and nothing can be synced any more
		}
		told := answer{id: asked.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if d.fails.Load() {
			told.flags, told.errno = 0, -int32(unix.EIO)
		} else {
			d.syncs.Add(1)
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&told)))
	}
}

// failingToSync sends while no fsync succeeds, and while they do, in turns, and
// says what was accepted. It ends as if it were killed while they fail.
func failingToSync(path, url string) error {
	var d disk
	if err := d.install(); err != nil {
		return err
	}
	d.fails.Store(true)
	if _, err := outbox.Open(context.Background(), path+"-new"); !isKind(err, outbox.StorageFailed) {
		return fmt.Errorf("no file can be made: %w", err)
	}
	d.fails.Store(false)
	box, err := outbox.Open(context.Background(), path, quick)
	if err != nil {
		return err
	}
	ctx := context.Background()
	go func() { _ = box.Run(ctx, sender(url)) }()
	var log, anew []byte
	for i := range 100 {
		fails := i%10 < 5
		if i%5 == 0 {
			// What is told the disk, it is told before anything waits for it.
			if err := box.Flush(ctx); err != nil {
				return err
			}
			d.fails.Store(fails)
		}
		if log, err = logHeader(path); err != nil {
			return err
		}
		name, before := fmt.Sprintf("m%d", i), d.syncs.Load()
		switch err := box.Send(ctx, []kissmetrics.Record{record(name + "-0"), record(name + "-1")}); {
		case fails && !isKind(err, outbox.StorageFailed):
			return fmt.Errorf("%s, of which nothing is synced: %w", name, err)
		case !fails && err != nil:
			return fmt.Errorf("%s, with a disk that works again: %w", name, err)
		case !fails && d.syncs.Load() == before:
			return fmt.Errorf("%s was accepted before it was synced", name)
		case !fails:
			fmt.Println(name)
		}
		if anew, err = logHeader(path); err != nil {
			return err
		}
		if i%10 == 5 && bytes.Equal(log, anew) {
			return errors.New("what the disk has failed to write of the log is relied upon")
		}
	}
	d.fails.Store(true)
	if err := box.Send(ctx, []kissmetrics.Record{record("last-0"), record("last-1")}); !isKind(err, outbox.StorageFailed) {
		return fmt.Errorf("the last: %w", err)
	}
	os.Exit(0)
	return nil
}

// logHeader returns the header of the log, which changes when it begins anew:
// https://www.sqlite.org/fileformat2.html#walformat
func logHeader(path string) ([]byte, error) {
	f, err := os.Open(path + "-wal")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	header := make([]byte, 32)
	_, err = f.ReadAt(header, 0)
	return header, err
}

func TestADiskThatFailsToSyncIsSurvived(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	output, err := child(t, "failing fsync", path, server.URL).Output()
	require.NoError(t, err, "%s", output)
	deliver(t, open(t, path), sender(server.URL))
	arrived := make(map[string]int) // records of each message
	for _, event := range server.Events("ann") {
		message, _, _ := strings.Cut(event.Name, "-")
		arrived[message]++
	}
	accepted := strings.Fields(string(output))
	require.Len(t, accepted, 50)
	for _, message := range accepted {
		assert.Equal(t, 2, arrived[message], "%s was accepted", message)
	}
	for message, records := range arrived {
		assert.Equal(t, 2, records, "%s: all of it or nothing", message)
	}
}
