package outbox

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// linksOf returns how many names a file has.
func linksOf(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink) //nolint:unconvert // it is shorter on other processors
	}
	return 1
}

// isMounted reports whether something is mounted at the path itself, such as a file
// that a container was given without its directory.
func isMounted(path string) bool {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, 0, &stat)
	return err == nil && stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// mountOf returns the number of the mount that a directory is on, or 0 where that is not
// known (before Linux 5.8).
func mountOf(dir string) uint64 {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID, &stat); err != nil {
		return 0
	}
	return stat.Mnt_id
}

// freeIn returns how many bytes are free on the disk that a directory is on.
func freeIn(dir string) int64 {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Blocks == 0 { // it does not tell
		return math.MaxInt64
	}
	return int64(stat.Bavail) * int64(stat.Bsize) //nolint:gosec,unconvert // no disk is as large
}
