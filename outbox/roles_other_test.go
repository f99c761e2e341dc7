//go:build !linux && !darwin

package outbox_test

import "errors"

// What these roles try needs limits and rights that only Unix has.
func fillingTheDisk(string, string) error       { return errors.ErrUnsupported }
func fillingTheDiskEarly(string, string) error  { return errors.ErrUnsupported }
func keepingALimit(string, string) error        { return errors.ErrUnsupported }
func makingFiles(string, string) error          { return errors.ErrUnsupported }
func openingTooMany(string, string) error       { return errors.ErrUnsupported }
func readingOnly(string, string) error          { return errors.ErrUnsupported }
func readingOnlyDirectory(string, string) error { return errors.ErrUnsupported }
