package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// lock keeps other runs away from the checkpoint and the files it describes, until
// unlock is called or the process ends in any way: the operating system releases
// the lock. A lock file left by a killed process locks nothing.
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
			return nil, usageError{fmt.Errorf("another run is using the checkpoint %s", f.checkpoint)}
		}
		if isAt(held, path) {
			return func() {
				_ = os.Remove(path) //nolint:gosec // beside what the user names
				_ = held.Unlock()
			}, nil
		}
		// Another run has just removed the file, so this lock keeps nobody out.
		if err := held.Unlock(); err != nil {
			return nil, err
		}
	}
}

// isAt reports whether the locked file is still the one at path.
func isAt(held *flock.Flock, path string) bool {
	locked, err := held.Stat()
	there, errThere := os.Stat(path) //nolint:gosec // beside what the user names
	return errors.Join(err, errThere) == nil && os.SameFile(locked, there)
}
