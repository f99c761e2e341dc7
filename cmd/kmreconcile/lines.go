package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// lines is a file of import lines, which has its name only once it is complete.
// Without a name, it takes everything and does nothing.
type lines struct {
	name   string
	file   *os.File
	writer *kissmetrics.ImportWriter
}

func newLines(name string) (*lines, error) {
	if name == "" {
		return &lines{}, nil
	}
	if _, err := os.Lstat(name); err == nil {
		return nil, fmt.Errorf("%s is there already", name)
	}
	// The name until then is of this process alone: no file is replaced, and two
	// processes never write to one.
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part")
	if err != nil {
		return nil, err
	}
	return &lines{name, file, kissmetrics.NewImportWriter(bufio.NewWriterSize(file, 64<<10))}, nil
}

// add adds a record. An alias that has no time gets that of today, since a line needs
// one.
func (l *lines) add(ctx context.Context, r kissmetrics.Record) error {
	if l.file == nil {
		return nil
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	return l.failed(l.writer.Send(ctx, []kissmetrics.Record{r}))
}

func (l *lines) failed(err error) error {
	if err != nil {
		err = fmt.Errorf("writing %s: %w", l.name, err)
	}
	return err
}

// keep gives the file its name. If that fails, the file stays under the name that it
// has, which the error says.
func (l *lines) keep(ctx context.Context) error {
	if l.file == nil {
		return nil
	}
	if err := errors.Join(l.writer.Flush(ctx), l.file.Sync(), l.file.Close()); err != nil {
		return l.failed(err)
	}
	part := l.file.Name()
	l.file = nil
	// A link, unlike a renaming, never replaces a file.
	if err := os.Link(part, l.name); err != nil {
		return fmt.Errorf("%w; what is missing is in %s", err, part)
	}
	return os.Remove(part)
}

// discard removes the file, unless it was kept.
func (l *lines) discard() {
	if l.file != nil {
		_ = l.file.Close()
		_ = os.Remove(l.file.Name())
	}
}

// maxTold is how many lines that cannot be read, and files that are not, are told of.
const maxTold = 10

// tellSkipped tells what lies in the folders of a side and is not read, and which
// revisions are not there.
func tellSkipped(w io.Writer, side reconcile.Side, files *reconcile.Files) {
	tell := func(all []string, what, more string) {
		for _, s := range all[:min(len(all), maxTold)] {
			_, _ = fmt.Fprintf(w, "kmreconcile: %s: %s%s\n", side, s, what)
		}
		if n := len(all) - maxTold; n > 0 {
			_, _ = fmt.Fprintf(w, "kmreconcile: %s: %d %s\n", side, n, more)
		}
	}
	tell(files.Skipped(), " is not read", "more files are not read")
	tell(files.Gaps(), " is not there; its records look missing", "more gaps between revisions")
}

// unreadable tells of the first lines that cannot be read.
type unreadable struct {
	mu   sync.Mutex
	w    io.Writer
	told int
}

func (u *unreadable) tell(side reconcile.Side, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.told++; u.told <= maxTold {
		_, _ = fmt.Fprintf(u.w, "kmreconcile: %s: %v\n", side, err)
	} else if u.told == maxTold+1 {
		_, _ = fmt.Fprintln(u.w, "kmreconcile: more lines cannot be read; they are counted")
	}
}
