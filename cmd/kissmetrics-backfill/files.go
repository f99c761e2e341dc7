package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/durable"
)

// A fileMark says how far the import files have got.
type fileMark struct {
	Number int   `json:"number"` // of the current or the last file
	Bytes  int64 `json:"bytes"`
	Full   bool  `json:"full"` // whether that file is complete
}

// files writes import files: import-000001.json, and so on. A file has the suffix
// .partial until it is complete and the checkpoint says so. From then on it never
// changes and may be uploaded.
type files struct {
	dir   string
	limit int64
	mark  fileMark
	file  *os.File
	w     *bufio.Writer
	lines *kissmetrics.ImportWriter
	taken func(e *entry, records int)
	full  func() error // writes a checkpoint
	err   error        // why nothing more can be written
}

// importFiles returns the import files in a directory.
func importFiles(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if name := entry.Name(); strings.HasPrefix(name, "import-") && strings.HasSuffix(name, ".json") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, err
}

// openFiles continues at the checkpoint and cuts off what was written after it.
func openFiles(dir string, limit int64, saved *checkpoint) (*files, error) {
	mark := saved.File
	f := &files{dir: dir, limit: limit, mark: mark}
	f.lines = kissmetrics.NewImportWriter(f)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, usageError{err}
	}
	if mark.Number == 0 { // the checkpoint knows of no file
		f.mark = fileMark{Full: true}
		there, err := importFiles(dir)
		if partial := f.path(1) + partial; err == nil && saved.found { // so the file is this run's own
			if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		} else if _, e := os.Stat(partial); e == nil {
			there = append(there, partial)
		}
		if err != nil || len(there) > 0 {
			return nil, usageError{errors.Join(err, fmt.Errorf("%s holds the files of another run, such as %v", dir, there[:min(len(there), 1)]))}
		}
		return f, nil
	}
	if mark.Full {
		if err := os.Remove(f.path(mark.Number+1) + partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return f, f.publish()
	}
	var err error
	if f.file, err = os.OpenFile(f.path(mark.Number)+partial, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	info, err := f.file.Stat()
	if err == nil && info.Size() < mark.Bytes {
		err = fmt.Errorf("%s is shorter than the checkpoint says", f.file.Name())
	}
	if err == nil {
		err = f.file.Truncate(mark.Bytes)
	}
	if err == nil {
		_, err = f.file.Seek(mark.Bytes, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.file.Close())
	}
	f.w = bufio.NewWriterSize(f.file, 256<<10)
	return f, nil
}

const partial = ".partial"

func (f *files) path(number int) string {
	return filepath.Join(f.dir, fmt.Sprintf("import-%06d.json", number))
}

// publish removes the suffix from the file's name, unless that was done before.
func (f *files) publish() error {
	path := f.path(f.mark.Number)
	if err := rename(path+partial, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *files) send(ctx context.Context, e *entry, records []kissmetrics.Record) error {
	err := f.lines.Send(ctx, records)
	switch {
	case f.err != nil:
		return f.err
	case err == nil:
		f.taken(e, len(records))
	}
	return err
}

// fail remembers an error after which nothing more is written, since the contents
// of the file are unknown.
func (f *files) fail(err error) error {
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("writing the import file: %w", err)
	}
	return f.err
}

// Write writes the lines of one message. If they would make this file too large,
// they go to a new one.
func (f *files) Write(lines []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.file != nil && f.mark.Bytes > 0 && f.mark.Bytes+int64(len(lines)) > f.limit {
		if err := f.end(); err != nil {
			return 0, err
		}
	}
	if f.file == nil {
		if err := f.begin(); err != nil {
			return 0, f.fail(err)
		}
	}
	n, err := f.w.Write(lines)
	f.mark.Bytes += int64(n)
	return n, f.fail(err)
}

// begin starts a file.
func (f *files) begin() error {
	file, err := os.OpenFile(f.path(f.mark.Number+1)+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.file, f.w, f.mark = file, bufio.NewWriterSize(file, 256<<10), fileMark{Number: f.mark.Number + 1}
	return durable.Sync(f.dir)
}

// end completes a file. It gets its final name once the checkpoint knows it.
func (f *files) end() error {
	f.mark.Full = true
	if err := f.full(); err != nil {
		f.err = err
		return err
	}
	err := f.file.Close()
	f.file, f.w = nil, nil
	return f.fail(errors.Join(err, f.publish()))
}

// sync makes durable what was written.
func (f *files) sync() (fileMark, error) {
	if f.err != nil || f.file == nil {
		return f.mark, f.err
	}
	err := f.w.Flush()
	if err == nil {
		err = f.file.Sync()
	}
	return f.mark, f.fail(err)
}

// drain returns at once: send leaves nothing to wait for.
func (f *files) drain(context.Context) error { return nil }

// finish completes the last file.
func (f *files) finish() error {
	if f.file == nil {
		return nil
	}
	return f.end()
}

func (f *files) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

func (f *files) outage() bool { return false }
