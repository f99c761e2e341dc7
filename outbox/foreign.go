package outbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// applicationID is in the header of a file that an outbox has made ("KMob"):
	// https://www.sqlite.org/pragma.html#pragma_application_id
	applicationID = 0x4b4d6f62
	// sqliteMagic is how a file of SQLite's begins, and leastDatabase how long it
	// is at least, if anything is in it.
	sqliteMagic   = "SQLite format 3\x00"
	leastDatabase = 512
)

// foreignTables counts the tables that are not the outbox's. One whose name, or
// whose SQL, was damaged is not counted, and neither are those of Litestream, which
// makes its own in each file that it copies.
const foreignTables = `SELECT count(*) FROM sqlite_schema WHERE type = 'table'
	AND name NOT LIKE 'kissmetrics%' AND name NOT LIKE 'sqlite%' AND name NOT GLOB '_litestream_*' AND sql LIKE 'CREATE TABLE%' AND instr(sql, name)`

// errForeign is the error for a file of somebody else's.
func errForeign(path, what string) error {
	return &StorageError{Kind: StorageForeign, Err: fmt.Errorf("%s %s; it is left as it is", filepath.Base(path), what)}
}

// owned refuses a database in which there are tables of an application, before
// anything of it is changed.
func (f *file) owned(ctx context.Context, path string) error {
	var foreign int
	if err := f.writer.Conn.QueryRowContext(ctx, foreignTables).Scan(&foreign); err != nil {
		return err
	}
	if foreign > 0 {
		return errForeign(path, "holds tables of an application, which must be opened with WithSharedFile")
	}
	return nil
}

// isForeign reports whether a file that SQLite cannot read was never an outbox's:
// there is something in it, and nothing that an outbox has written, neither in the
// file nor in its log. Nobody else may have it open.
func isForeign(path string) (bool, error) {
	empty := true
	for _, part := range []string{path, path + "-wal"} {
		data, err := os.Open(part) //nolint:gosec // the caller's file
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		trace, something, err := traceIn(data)
		_ = data.Close()
		if err != nil || trace {
			return false, err
		}
		empty = empty && !something
	}
	return !empty, nil
}

// traceIn reports whether a file has a trace of an outbox, and whether it has
// anything at all: not only zeros, and not only the beginning of a database.
func traceIn(data io.Reader) (trace, something bool, err error) {
	const window, overlap = 4 << 20, 64 << 10 // what SQLite writes in one piece is shorter
	buffer := make([]byte, 0, window)
	for first := true; ; first = false {
		kept := len(buffer)
		n, err := io.ReadFull(data, buffer[kept:cap(buffer)])
		buffer = buffer[:kept+n]
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return false, false, err
		}
		if isTrace(buffer, first) {
			return true, true, nil
		}
		isStub := first && ended && len(buffer) < leastDatabase && bytes.HasPrefix(buffer, []byte(sqliteMagic))
		something = something || !isStub && len(bytes.Trim(buffer, "\x00")) > 0
		if ended {
			return false, something, nil
		}
		copy(buffer, buffer[len(buffer)-overlap:])
		buffer = buffer[:overlap]
	}
}

// isTrace reports whether there is something in data that only an outbox writes:
// its mark in the header, the name of a table, or a message.
func isTrace(data []byte, header bool) bool {
	const mark = 68 // where the header has it
	if header && len(data) >= mark+4 && binary.BigEndian.Uint32(data[mark:]) == applicationID ||
		bytes.Contains(data, []byte("kissmetrics_waiting")) {
		return true
	}
	errFound := errors.New("found")
	return errors.Is(scan(data, func([]byte) error { return errFound }), errFound)
}
