package reconcile

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/gunzip"
)

// Files are files of import lines, as they are sent or exported.
type Files struct {
	paths   []string
	skipped []string
	gaps    []string
	size    int64
	read    atomic.Int64
}

// Open finds the files that the paths stand for. A path is a file of lines, or a
// folder: of a data export, in which revisions/1.json, revisions/2.json and so on
// are read, or of other files whose names end in .json or .jsonl, such as those of
// an [Archive]. Either may be followed by .gz. Whether a file is gzipped shows in
// its first bytes, whatever its name. The folders in a folder are read too, each as
// if it were given, behind the files. Names may be in capitals, or have backslashes for
// the folders that a program for Windows meant. A file whose name begins with a dot is
// not read.
//
// [Files.Skipped] tells what lies in a folder and is not read, and [Files.Gaps] which
// revisions are not there. It is an error if a path is not there, or if there is nothing
// to read in a folder that was given.
func Open(paths ...string) (*Files, error) {
	f := &Files{}
	for _, path := range paths {
		if err := f.find(path); err != nil {
			return nil, fmt.Errorf("reconcile: %w", err)
		}
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

// find adds the files that a path stands for, in order.
func (f *Files) find(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		f.paths = append(f.paths, path)
		return nil
	}
	before := len(f.paths)
	if err := f.folder(path); err != nil {
		return err
	}
	if len(f.paths) == before {
		return &fs.PathError{Op: "read", Path: path, Err: errors.New("no files of lines in this folder")}
	}
	return nil
}

// folder adds the files of a folder, and then those of the folders in it.
func (f *Files) folder(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(revision(a.Name()), revision(b.Name())) })
	isExport := slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		in, name := placeOf(e.Name())
		return in == revisions || e.IsDir() && name == revisions
	})
	var folders, names []string
	for _, entry := range entries {
		inside := filepath.Join(path, entry.Name())
		in, name := placeOf(inside)
		switch {
		case entry.IsDir():
			folders = append(folders, inside)
		case isExport && (name == "index.csv" || name == "status.csv"): // which have no lines
		case isExport && in != revisions || !isLines(name) || !isFile(inside):
			f.skipped = append(f.skipped, inside)
		case in == revisions:
			names = append(names, name)
			fallthrough
		default:
			f.paths = append(f.paths, inside)
		}
	}
	f.gaps = append(f.gaps, gaps(path, names)...)
	for _, inside := range folders {
		if err := f.folder(inside); err != nil {
			return err
		}
	}
	return nil
}

// revisions is the name of the folder of an export that has the lines.
const revisions = "revisions"

// placeOf returns the name of a file and that of its folder, both in lower case. On
// their way through Windows, files get capitals, or names with backslashes that were
// folders.
func placeOf(file string) (folder, name string) {
	file = strings.ToLower(strings.ReplaceAll(file, `\`, "/"))
	return path.Base(path.Dir(file)), path.Base(file)
}

// isLines reports whether a file of this name, in lower case, is one of lines. One whose
// name begins with a dot is none, but what macOS knows of another file, for example.
func isLines(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	extension := filepath.Ext(strings.TrimSuffix(name, ".gz"))
	return extension == ".json" || extension == ".jsonl"
}

// isFile reports whether a file can be read without end: it is none of a pipe, a
// socket and a device, nor a link to a folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular() // what is wrong, reading says
}

// revision returns the number that a name begins with, if it ends there.
func revision(name string) int {
	_, name = placeOf(name)
	digits, _, _ := strings.Cut(name, ".")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// gaps returns which numbers are missing among the names of revisions, which are in order.
func gaps(path string, names []string) (missing []string) {
	expected := 1
	for _, name := range names {
		n := revision(name)
		switch {
		case n == expected+1:
			missing = append(missing, fmt.Sprintf("%s: %d", path, expected))
		case n > expected:
			missing = append(missing, fmt.Sprintf("%s: %d to %d", path, expected, n-1))
		}
		expected = max(expected, n+1)
	}
	return missing
}

// Paths returns the files.
func (f *Files) Paths() []string { return slices.Clone(f.paths) }

// Skipped returns what lies in the folders and is not read: files of other names,
// files beside the revisions of an export other than its index.csv and status.csv,
// links to folders, and what is no file.
func (f *Files) Skipped() []string { return slices.Clone(f.skipped) }

// Gaps returns which revisions of an export are not there although later ones are, such
// as "export/revisions: 3" or "export/revisions: 5 to 8". What they hold looks missing.
func (f *Files) Gaps() []string { return slices.Clone(f.gaps) }

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
	buffered := bufio.NewReaderSize(&counting{file, &f.read}, 256<<10)
	lines, _, err := gunzip.Open(buffered)
	if err != nil {
		yield(kissmetrics.Record{}, fmt.Errorf("%s: %w", path, err))
		return false
	}
	for record, err := range kissmetrics.ReadImport(lines) {
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
