//go:build !linux && !darwin

package main

import "errors"

// limitFiles needs a limit of the system's, which not every one has.
func limitFiles(uint64) error { return errors.ErrUnsupported }
