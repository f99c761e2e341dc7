package reconcile

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/kissmetrics-go/kissmetrics"
)

// Files are files of import lines, as they are sent or exported.
type Files struct {
	paths []string
	size  int64
	read  atomic.Int64
}

// Open finds the files that the paths stand for. A path is a file of lines, or a
// folder: of a data export, in which revisions/1.json, revisions/2.json and so on
// are read, or of other files whose names end in .json or .jsonl, such as those of
// an [Archive]. Either may be followed by .gz. Whether a file is gzipped shows in
// its first bytes, whatever its name.
//
// It is an error if a path is not there, or a folder has no such file.
func Open(paths ...string) (*Files, error) {
	f := &Files{}
	for _, path := range paths {
		found, err := find(path)
		if err != nil {
			return nil, fmt.Errorf("reconcile: %w", err)
		}
		f.paths = append(f.paths, found...)
	}
	for _, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reconcile: %w", err)
		}
		f.size += info.Size()
	}
	return f, nil
}

// find returns the files that a path stands for, in order.
func find(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	if inner := filepath.Join(path, "revisions"); isDir(inner) {
		path = inner
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if extension := filepath.Ext(strings.TrimSuffix(entry.Name(), ".gz")); !entry.IsDir() && (extension == ".json" || extension == ".jsonl") {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("no files of lines in this folder")}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(revision(a), revision(b)) })
	for i, name := range names {
		names[i] = filepath.Join(path, name)
	}
	return names, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// revision returns the number that a name begins with, if it ends there.
func revision(name string) int {
	digits, _, _ := strings.Cut(name, ".")
	n, _ := strconv.Atoi(digits)
	return n
}

// Paths returns the files.
func (f *Files) Paths() []string { return slices.Clone(f.paths) }

// Size returns how many bytes the files have.
func (f *Files) Size() int64 { return f.size }

// Read returns how many bytes were read so far. It is safe for concurrent use.
func (f *Files) Read() int64 { return f.read.Load() }

// Records returns the records of all lines of the files, read by
// [kissmetrics.ReadImport]. An error names the file; those of one line wrap a
// [*kissmetrics.ValidationError], and what is behind it goes on. After any other
// error the sequence ends.
func (f *Files) Records() iter.Seq2[kissmetrics.Record, error] {
	return func(yield func(kissmetrics.Record, error) bool) {
		f.read.Store(0)
		for _, path := range f.paths {
			if !f.records(path, yield) {
				return
			}
		}
	}
}

// records yields the records of a file, and reports whether to go on.
func (f *Files) records(path string, yield func(kissmetrics.Record, error) bool) bool {
	file, err := os.Open(path) //nolint:gosec // which the caller names
	if err != nil {
		yield(kissmetrics.Record{}, err)
		return false
	}
	defer func() { _ = file.Close() }()
	var r io.Reader = bufio.NewReaderSize(&counting{file, &f.read}, 256<<10)
	if magic, _ := r.(*bufio.Reader).Peek(2); string(magic) == "\x1f\x8b" {
		if r, err = gzip.NewReader(r); err != nil {
			yield(kissmetrics.Record{}, fmt.Errorf("%s: %w", path, err))
			return false
		}
	}
	for record, err := range kissmetrics.ReadImport(r) {
		if err == nil {
			if !yield(record.Record, nil) {
				return false
			}
			continue
		}
		_, isLine := errors.AsType[*kissmetrics.ValidationError](err)
		if !yield(kissmetrics.Record{}, fmt.Errorf("%s: %w", path, err)) || !isLine {
			return false
		}
	}
	return true
}

// counting counts what is read.
type counting struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
