package outbox

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kissmetrics-go/kissmetrics"
)

// ErrFull is returned by Send and SendTx if a message would exceed
// [WithMaxRecords] or [WithMaxBytes], or has more than 512 MiB. Nothing of it was
// stored.
var ErrFull = errors.New("outbox: full")

// ErrNotParked is returned by Requeue and Delete for an id that is not parked.
// Then nothing was changed.
var ErrNotParked = errors.New("outbox: no such record is parked")

var (
	errNotShared = invalid("SendTx needs an outbox that was opened with WithSharedFile")
	errNilNext   = invalid("the next sender is nil")
	errNilTx     = invalid("the transaction is nil")
	errNilDB     = invalid("the database is nil")
)

var errNotRepaired = damaged("the file is not repaired yet")

// invalid returns an error that wraps [kissmetrics.ErrInvalidOption].
func invalid(what string) error {
	return fmt.Errorf("%w: outbox: %s", kissmetrics.ErrInvalidOption, what)
}

// A StorageKind says what kept an outbox from reading or writing its file.
type StorageKind int

const (
	// StorageFailed is any failure that is none of the others, such as an error of
	// the disk.
	StorageFailed StorageKind = iota + 1
	// StorageDiskFull means that there is no room on the disk, or no more than is left
	// free for removing what was delivered.
	StorageDiskFull
	// StorageReadOnly means that the file, or its directory, cannot be written.
	StorageReadOnly
	// StorageBusy means that another process, or a transaction of the application,
	// kept the file locked for 10 seconds.
	StorageBusy
	// StorageDamaged means that the file is not what it was: it is damaged, its
	// tables are missing, or it was deleted or replaced. The package documentation
	// says what becomes of it.
	StorageDamaged
	// StorageForeign means that the file is not an outbox's, or that something else
	// in this process has it open. It is left as it is.
	StorageForeign
)

// String returns "failed", "disk full", "read-only", "busy", "damaged" or
// "foreign".
func (k StorageKind) String() string {
	switch k {
	case StorageFailed:
		return "failed"
	case StorageDiskFull:
		return "disk full"
	case StorageReadOnly:
		return "read-only"
	case StorageBusy:
		return "busy"
	case StorageDamaged:
		return "damaged"
	case StorageForeign:
		return "foreign"
	}
	return fmt.Sprintf("StorageKind(%d)", int(k))
}

// A StorageError says that the file could not be read or written. A Send that
// returns it has stored nothing, with one exception: if the disk failed
// ([StorageFailed]) and the process then ends, the message may be there all the
// same, all of it or nothing. Sending it again is harmless. The text of the error
// holds nothing of a record.
type StorageError struct {
	Kind StorageKind
	// Err is the cause: of the driver, or of the file system.
	Err error
}

func (e *StorageError) Error() string { return fmt.Sprintf("outbox: storage %s: %v", e.Kind, e.Err) }

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// storageError returns an error of the driver, or of the file system, as one of
// this package. Errors that already are, or that are not about storage, stay as
// they are.
func storageError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*StorageError](err); ok ||
		errors.Is(err, ErrFull) || errors.Is(err, ErrNotParked) || errors.Is(err, kissmetrics.ErrInvalidOption) {
		return err
	}
	kind := systemKind(err)
	if failed, ok := errors.AsType[*sqlite.Error](err); ok {
		if failed.Code() == sqlite3.SQLITE_IOERR_SHORT_READ { // the file is cut
			kind = StorageDamaged
		}
		switch failed.Code() & 0xff { // the rest is detail
		case sqlite3.SQLITE_FULL:
			kind = StorageDiskFull
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			kind = StorageReadOnly
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			kind = StorageBusy
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			kind = StorageDamaged
		}
	}
	return &StorageError{Kind: kind, Err: err}
}

// fileError is storageError for the outbox's own queries, in which nothing is
// wrong: what SQLite cannot make sense of are the tables, and a row that must be
// there is missing.
func fileError(err error) error {
	if _, known := errors.AsType[*StorageError](err); known {
		return err
	}
	failed, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case ok && failed.Code() == sqlite3.SQLITE_ERROR:
		return damaged("the tables are not what they should be: " + failed.Error())
	case errors.Is(err, sql.ErrNoRows):
		return damaged("the counts are missing")
	}
	return storageError(err)
}

func damaged(reason string) error {
	return &StorageError{Kind: StorageDamaged, Err: errors.New(reason)}
}

func isDamaged(err error) bool { return isKind(err, StorageDamaged) }
func isBusy(err error) bool    { return isKind(err, StorageBusy) }

func isKind(err error, kind StorageKind) bool {
	failed, ok := errors.AsType[*StorageError](err)
	return ok && failed.Kind == kind
}
