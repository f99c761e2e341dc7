package bulk

import (
	"errors"
	"fmt"

	"github.com/kissmetrics-go/kissmetrics"
)

// ErrFull is returned by Send if a message would exceed [WithMaxRecords], or has
// more than 64 MiB. Nothing of it was stored.
var ErrFull = errors.New("bulk: full")

// A StorageError says that the directory could not be read or written. A Send that
// returns it has stored nothing, unless the process ends at the same time: then the
// message may be there all the same, all of it. The text of the error holds nothing of
// a record.
type StorageError struct {
	// Err is the cause, of the file system.
	Err error
}

func (e *StorageError) Error() string { return fmt.Sprintf("bulk: storage: %v", e.Err) }

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// storageError returns an error of the file system as one of this package.
func storageError(err error) error {
	if _, known := errors.AsType[*StorageError](err); err == nil || known {
		return err
	}
	return &StorageError{err}
}

// invalid returns an error that wraps [kissmetrics.ErrInvalidOption].
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: bulk: %s", kissmetrics.ErrInvalidOption, fmt.Sprintf(format, args...))
}
