package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// An ArchiveOption configures [NewArchive].
type ArchiveOption func(*archiveConfig)

type archiveConfig struct {
	fileBytes int64
	maxBytes  int64
	sync      bool
	fsync     func(*os.File) error // another one in tests
	logger    *slog.Logger
}

// WithFileSize sets after how many bytes a new file begins: 100 MB by default. A
// message is never in two files.
func WithFileSize(bytes int64) ArchiveOption { return func(c *archiveConfig) { c.fileBytes = bytes } }

// WithMaxBytes bounds how many bytes the files have together: 10 GB by default.
// When a new file begins, the oldest files are removed until the others and the new
// one are within the bound. Each is logged, and counted in [ArchiveStats].
func WithMaxBytes(bytes int64) ArchiveOption { return func(c *archiveConfig) { c.maxBytes = bytes } }

// WithSync makes every Send wait until its lines are on the disk, so that not even
// a power failure loses them. Without it, what a power failure loses was sent but
// is not in the archive, and is no difference.
func WithSync() ArchiveOption { return func(c *archiveConfig) { c.sync = true } }

// WithLogger sets where the removal of files is logged: nowhere by default.
func WithLogger(logger *slog.Logger) ArchiveOption {
	return func(c *archiveConfig) { c.logger = safelog.Logger(logger) }
}

// configureArchive applies options to the defaults and reports all that is wrong.
func configureArchive(next kissmetrics.Sender, options []ArchiveOption) (archiveConfig, error) {
	c := archiveConfig{fileBytes: 100e6, maxBytes: 10e9, fsync: (*os.File).Sync, logger: slog.New(slog.DiscardHandler)}
	wrong := complaint.New(kissmetrics.ErrInvalidOption, "reconcile")
	complaint.Apply(options, wrong, func(o ArchiveOption) { o(&c) })
	if nilness.IsNil(next) {
		wrong.Add("NewArchive: the next sender is nil")
	}
	if c.fileBytes < 1 {
		wrong.Add("WithFileSize: %d bytes are no room", c.fileBytes)
	}
	if c.maxBytes < c.fileBytes {
		wrong.Add("WithMaxBytes: %d bytes are less than a file may have", c.maxBytes)
	}
	wrong.Logger(c.logger)
	return c, wrong.Err()
}

// ArchiveStats are those of an [Archive].
type ArchiveStats struct {
	Records      int64 // that were archived
	Bytes        int64 // of their lines
	RemovedFiles int64 // the oldest, for want of room
}

// An Archive is a [kissmetrics.Sender] that writes down what it is given, as import
// lines, and then gives it to the next sender. [Open] reads the files, and so does
// Kissmetrics' bulk import.
//
// A message whose Send fails may be in the archive, because it is written before it
// is sent: it then counts as sent. Repeating it is harmless, since a record that was
// sent several times counts once. A message that cannot be archived is not sent; the
// error is a [*kissmetrics.DeliveryError], and the message can be sent again. After
// such a failure the next message begins a new file, because the last line of the
// old one may be torn. So may the last line of a file after a crash: it is reported
// as unreadable, and was never sent. A record without any property, and without
// an event, says nothing and has no line.
//
// In front of a [kissmetrics.Queue], the archive holds what the program tracked;
// behind it, it holds every attempt, which a comparison counts once.
//
// Files are named archive-<UTC time>.json, so that their alphanumeric order is that
// of time, and are written to one behind the other. They are never overwritten, and
// several archives can share a folder, also in several processes. The files hold
// identities and property values, hence only the owner may read them.
//
// Lines are written to the file before the next sender is called, and reach the
// disk at Flush, at Close, when the next file begins, or at each Send; see
// [WithSync]. An Archive is safe for concurrent use.
type Archive struct {
	config archiveConfig
	dir    string
	next   kissmetrics.Sender

	turn  chan struct{} // holds a token while nobody writes; guards what follows
	file  *sizedFile    // nil before the first message, and after a failure
	lines *kissmetrics.ImportWriter
	stats ArchiveStats
	over  bool
}

// NewArchive returns an Archive that writes to a folder, which is made if it is not
// there. The first file begins with the first record.
func NewArchive(dir string, next kissmetrics.Sender, options ...ArchiveOption) (*Archive, error) {
	c, err := configureArchive(next, options)
	if err != nil {
		return nil, err
	}
	a := &Archive{config: c, dir: dir, next: next, turn: make(chan struct{}, 1)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	a.turn <- struct{}{}
	return a, nil
}

// Send archives records, and gives them to the next sender. Its error is that of
// the next sender, or [kissmetrics.ErrSenderPanicked], or of the archive.
func (a *Archive) Send(ctx context.Context, records []kissmetrics.Record) (err error) {
	defer contain(&err)
	ctx = nilness.Context(ctx)
	if err := a.use(ctx, func() error { return a.write(ctx, records) }); err != nil {
		return err
	}
	return a.next.Send(ctx, records)
}

// Flush waits until what was archived is on the disk, and then flushes the next
// sender, if it has something to flush.
func (a *Archive) Flush(ctx context.Context) (err error) {
	defer contain(&err)
	ctx = nilness.Context(ctx)
	err = a.use(ctx, func() error {
		if a.file == nil {
			return nil
		}
		return a.file.Sync()
	})
	if next, ok := a.next.(kissmetrics.Flusher); ok {
		err = errors.Join(err, next.Flush(ctx))
	}
	return err
}

// contain makes an error of a panic of the next sender.
func contain(err *error) {
	if recover() != nil { // what it panics with may hold anything
		*err = kissmetrics.ErrSenderPanicked
	}
}

// Close waits until what was archived is on the disk, and closes the file. Every
// Send fails from then on with [kissmetrics.ErrClosed]. The next sender stays the
// caller's.
func (a *Archive) Close(ctx context.Context) error {
	err := a.use(ctx, func() error {
		a.over = true
		return a.end()
	})
	if errors.Is(err, kissmetrics.ErrClosed) {
		return nil
	}
	return err
}

// Stats returns what was archived so far.
func (a *Archive) Stats(ctx context.Context) (stats ArchiveStats, err error) {
	err = a.use(ctx, func() error { stats = a.stats; return nil })
	if errors.Is(err, kissmetrics.ErrClosed) {
		return a.stats, nil // nobody changes it any more
	}
	return stats, err
}

// use waits for its turn and calls f.
func (a *Archive) use(ctx context.Context, f func() error) error {
	ctx = nilness.Context(ctx)
	select {
	case <-a.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { a.turn <- struct{}{} }()
	if a.over {
		return kissmetrics.ErrClosed
	}
	return f()
}

// write writes the lines of a message.
func (a *Archive) write(ctx context.Context, records []kissmetrics.Record) error {
	if a.file != nil && a.file.size >= a.config.fileBytes {
		if err := a.end(); err != nil {
			return notArchived(err, records)
		}
	}
	if a.file == nil {
		if err := a.begin(); err != nil {
			return notArchived(err, records)
		}
	}
	before := a.file.size
	err := a.lines.Send(ctx, timed(records))
	if err == nil && a.config.sync {
		if err = a.file.Sync(); err != nil {
			err = notArchived(err, records)
		}
	}
	if err != nil {
		if _, failed := errors.AsType[*kissmetrics.DeliveryError](err); failed {
			_ = a.end() // the next message begins a new file
		}
		return err
	}
	a.stats.Records += int64(len(records))
	a.stats.Bytes += a.file.size - before
	return nil
}

// timed gives a time to aliases that have none, because a line needs one. It is not
// compared.
func timed(records []kissmetrics.Record) []kissmetrics.Record {
	untimed := func(r kissmetrics.Record) bool { return r.Kind == kissmetrics.KindAlias && r.Time.IsZero() }
	if !slices.ContainsFunc(records, untimed) {
		return records
	}
	records = slices.Clone(records)
	for i := range records {
		if untimed(records[i]) {
			records[i].Time = time.Now().UTC().Truncate(time.Second)
		}
	}
	return records
}

// begin begins a file, once there is room for it.
func (a *Archive) begin() error {
	if err := a.makeRoom(); err != nil {
		return err
	}
	for {
		path := filepath.Join(a.dir, "archive-"+time.Now().UTC().Format("20060102T150405.000000000Z")+".json")
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the caller's folder
		if errors.Is(err, os.ErrExist) {
			continue // another archive began one in the same nanosecond
		} else if err != nil {
			return err
		}
		a.file = &sizedFile{File: file, fsync: a.config.fsync}
		a.lines = kissmetrics.NewImportWriter(a.file)
		return nil
	}
}

// A sizedFile counts the bytes that are written to it.
type sizedFile struct {
	*os.File
	size  int64
	fsync func(*os.File) error
}

// Sync waits until the disk has what was written.
func (f *sizedFile) Sync() error { return f.fsync(f.File) }

func (f *sizedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.size += int64(n)
	return n, err
}

// end ends the file.
func (a *Archive) end() error {
	if a.file == nil {
		return nil
	}
	err := errors.Join(a.file.Sync(), a.file.Close())
	a.file = nil
	return err
}

// makeRoom removes the oldest files.
func (a *Archive) makeRoom() error {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return err
	}
	type archived struct {
		name string
		size int64
	}
	var files []archived
	total := a.config.fileBytes
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || entry.IsDir() || !strings.HasPrefix(entry.Name(), "archive-") || !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		files = append(files, archived{entry.Name(), info.Size()})
		total += info.Size()
	}
	slices.SortFunc(files, func(x, y archived) int { return cmp.Compare(x.name, y.name) })
	for _, file := range files {
		if total <= a.config.maxBytes {
			break
		}
		if err := os.Remove(filepath.Join(a.dir, file.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		total -= file.size
		a.stats.RemovedFiles++
		a.config.logger.Warn("kissmetrics archive: removed the oldest file", "file", file.name, "bytes", file.size)
	}
	return nil
}

// notArchived returns the error of records that could not be archived.
func notArchived(err error, records []kissmetrics.Record) error {
	return &kissmetrics.DeliveryError{
		Kind: kissmetrics.FailureUnavailable, Attempts: 1, Reason: "the archive failed: " + withoutPath(err).Error(),
		Err: err, Undelivered: slices.Clone(records),
	}
}
