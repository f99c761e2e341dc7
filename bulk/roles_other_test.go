//go:build !linux && !darwin

package bulk_test

import "errors"

// What these roles try needs limits that only Unix sets.
func filling(string, string) error { return errors.ErrUnsupported }
func serving(string, string) error { return errors.ErrUnsupported }
