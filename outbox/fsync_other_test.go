//go:build !linux

package outbox_test

import "errors"

// failingToSync needs a kernel that a program can answer for.
func failingToSync(string, string) error { return errors.ErrUnsupported }
