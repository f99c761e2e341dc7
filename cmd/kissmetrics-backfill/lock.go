package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// lock keeps every other run from the checkpoint, and from what it stands for,
// until unlock is called or the process has ended, however it does: it is the
// operating system that lets go of a lock. The file that is left of a process
// that was killed locks nothing.
func (f *flags) lock() (unlock func(), err error) {
	if f.checkpoint == "" {
		return func() {}, nil
	}
	path := f.checkpoint + ".lock"
	for {
		held := flock.New(path)
		locked, err := held.TryLock()
		if err != nil {
			return nil, fmt.Errorf("locking the checkpoint %s: %w", f.checkpoint, err)
		}
		if !locked {
			return nil, usageError{fmt.Errorf("another run is at work with the checkpoint %s", f.checkpoint)}
		}
		if isAt(held, path) {
			return func() {
				_ = os.Remove(path) //nolint:gosec // beside what the user names
				_ = held.Unlock()
			}, nil
		}
		// The run before removed the file just now: that lock keeps nobody out.
		if err := held.Unlock(); err != nil {
			return nil, err
		}
	}
}

// isAt reports whether the file that is locked is still the one at its path.
func isAt(held *flock.Flock, path string) bool {
	locked, err := held.Stat()
	there, errThere := os.Stat(path) //nolint:gosec // beside what the user names
	return errors.Join(err, errThere) == nil && os.SameFile(locked, there)
}
