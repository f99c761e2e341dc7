// Package durable has the disk keep what was done to a directory.
package durable

import (
	"errors"
	"os"
	"runtime"
)

// Sync makes durable which files a directory holds. Windows cannot, and need not.
func Sync(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
