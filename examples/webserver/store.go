package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kissmetrics-go/kissmetrics"
)

// store is the file in which undelivered records wait for the next start.
type store struct{ path string }

// send sends what an earlier run saved. The file stays until keep knows what became
// of the records. Sending a record twice is harmless: it keeps its second, so
// Kissmetrics recognises the repeat.
func (s store) send(ctx context.Context, queue *kissmetrics.Queue, stdout io.Writer) error {
	file, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	n := 0
	for line, err := range kissmetrics.ReadImport(file) {
		record := line.WithProtocol() // as it was written
		if err == nil {
			err = queue.Send(ctx, []kissmetrics.Record{record})
		}
		if err != nil {
			return err
		}
		n++
	}
	_, _ = fmt.Fprintf(stdout, "%d records of an earlier run are on their way\n", n)
	return nil
}

// keep saves the records that a closed queue handed back. They replace what was
// saved before, since all of that went through the queue.
func (s store) keep(closing error, stdout io.Writer) error {
	undelivered, ok := errors.AsType[*kissmetrics.UndeliveredError](closing)
	switch {
	case ok:
	case closing != nil:
		return closing
	default:
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	file, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path))
	if err != nil {
		return err
	}
	err = kissmetrics.NewImportWriter(file).Send(context.Background(), undelivered.Records)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), s.path)
	}
	if err == nil {
		_, _ = fmt.Fprintf(stdout, "%d records could not be delivered and are in %s\n", len(undelivered.Records), s.path)
	}
	return err
}
