package bulk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// A Sender is a [kissmetrics.Sender] that stores records in a directory, from which
// [Sender.Run] puts them into a bucket. It is safe for concurrent use. It has a
// goroutine, which ends with Close.
type Sender struct {
	config    config
	bucket    bucket
	base      string
	directory *directory
	rooms     sync.Pool // for lines: of *[]byte

	gathered chan struct{} // there is something to write
	commands chan func()   // for the goroutine that writes
	ending   chan struct{} // closed when nothing more is gathered
	written  chan struct{} // closed when all is written
	changed  chan struct{} // there may be something to do for Run
	running  chan struct{} // holds a token while nobody runs
	open     *openFile     // of the goroutine that writes

	mu            sync.Mutex
	closed        bool
	gathering     *batch
	spare         []byte                 // room, and
	spareMessages [][]kissmetrics.Record // more of it, for the batch after
	openContent   content
	sealed        []*sealedFile // to be uploaded, in order
	state         state
	damaged       int64
	lastError     error
	failing       time.Time     // since when nothing could be delivered
	accepted      int64         // records, since Open: all that are not refused,
	stored        int64         // those on the disk,
	delivered     int64         // and those in the bucket
	wanted        int64         // how many a Flush wants delivered
	settled       chan struct{} // closed, and replaced, when that changes

	ctx  context.Context //nolint:containedctx // ends with Close, and with it Run
	stop context.CancelFunc
	runs sync.WaitGroup
	done chan struct{} // closed when all has ended, after
	err  error         // was set
}

// Open opens a directory for the records that are on their way to a bucket. If there is
// none, it makes one, for its owner alone (0700). It waits until no other Sender has
// it, or ctx ends. It asks nothing of the bucket; [Sender.Check] does.
//
// The error wraps [kissmetrics.ErrInvalidOption], a [*StorageError], or that of ctx.
func Open(ctx context.Context, dir string, to Bucket, options ...Option) (*Sender, error) {
	ctx = nilness.Context(ctx)
	c, err := configure(&to, options)
	if dir == "" {
		err = errors.Join(err, invalid("the directory has no name"))
	}
	if err != nil {
		return nil, err
	}
	if c.bucket == nil {
		if c.bucket, err = openS3(&to, &c); err != nil {
			return nil, err
		}
	}
	directory, err := openDirectory(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &Sender{
		config: c, bucket: c.bucket, base: to.Base, directory: directory,
		gathered: make(chan struct{}, 1), commands: make(chan func()), ending: make(chan struct{}),
		written: make(chan struct{}), changed: make(chan struct{}, 1), running: make(chan struct{}, 1),
		settled: make(chan struct{}), done: make(chan struct{}), gathering: newBatch(nil, nil),
	}
	s.rooms.New = func() any { return new([]byte) }
	s.running <- struct{}{}
	if err := s.recover(ctx); err != nil {
		return nil, errors.Join(storageError(err), directory.lock.Close())
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.write()
	return s, nil
}

// recover takes over what the directory has.
func (s *Sender) recover(ctx context.Context) (err error) {
	if s.state, err = s.directory.readState(); err != nil {
		return err
	}
	if s.sealed, err = s.directory.findSealed(); err != nil {
		return err
	}
	var cut int64
	if s.open, s.openContent, cut, err = s.directory.openOpen(s.config.sync); err != nil {
		return err
	}
	if cut > 0 {
		s.config.logger.WarnContext(ctx, "bulk: what a crash had left half stored was cut off", "bytes", cut)
	}
	s.damaged = s.openContent.damaged
	s.accepted = s.openContent.records
	for _, f := range s.sealed {
		s.damaged += f.damaged
		s.accepted += f.records
	}
	if s.damaged > 0 {
		s.config.logger.ErrorContext(ctx, "bulk: a part of what is stored is damaged, and left out", "bytes", s.damaged)
	}
	s.stored = s.accepted
	return nil
}

// Send stores the records and returns when the disk has them, all or none. If it
// returns nil, Run puts them into the bucket, whatever happens.
//
// The error is that of the records' validation, [ErrFull], [kissmetrics.ErrClosed], a
// [*StorageError], or that of ctx. The last means that nothing was stored, and that
// nothing will be. Once the records are with others that are being written, the end of
// ctx does not stop that.
func (s *Sender) Send(ctx context.Context, records []kissmetrics.Record) error {
	ctx = nilness.Context(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	m := measured(records)
	if m.bytes <= maxSmall {
		return s.gather(ctx, m)
	}
	room, _ := s.rooms.Get().(*[]byte)
	defer s.rooms.Put(room)
	lines, err := appendLines((*room)[:0], records)
	if err != nil {
		return err
	}
	if cap(lines) <= maxRoom {
		*room = lines
	}
	switch {
	case len(lines) == 0:
		return nil
	case len(lines) > maxMessage:
		return ErrFull
	}
	return s.gather(ctx, message{lines: lines, bytes: len(lines), claimed: m.claimed})
}

const (
	// maxSmall bounds the messages of which the goroutine that writes makes lines, one
	// after the other. That is less work than on the stacks of many goroutines, which
	// have left the processor's cache. Large ones are better made at the same time.
	maxSmall = 32 << 10
	// maxRoom bounds the room for lines that is kept.
	maxRoom = 256 << 10
)

// appendLines appends the lines of records. If one is refused, dst is returned as it
// was, with the error.
func appendLines(dst []byte, records []kissmetrics.Record) ([]byte, error) {
	return kissmetrics.AppendImport(dst, timed(records))
}

// timed gives the time of acceptance to an alias that has none.
func timed(records []kissmetrics.Record) []kissmetrics.Record {
	untimed := func(r kissmetrics.Record) bool { return r.Kind == kissmetrics.KindAlias && r.Time.IsZero() }
	if !slices.ContainsFunc(records, untimed) {
		return records
	}
	records = slices.Clone(records)
	for i := range records {
		if untimed(records[i]) {
			records[i].Time = time.Now()
		}
	}
	return records
}

// Flush closes the file, ahead of the hour, and waits until all that was stored before
// is in the bucket. That takes a Run. The error is that of ctx or
// [kissmetrics.ErrClosed]. If ctx has ended before, the file is not closed; if it ends
// later, it is.
//
// The Flush and Close of a [kissmetrics.Client] call it. A program that only restarts
// should close the Sender alone: what waits stays in the directory.
func (s *Sender) Flush(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	if err := ctx.Err(); err != nil && s.ctx.Err() == nil {
		return err // and the file goes on
	}
	s.mu.Lock()
	target := s.stored
	s.wanted = max(s.wanted, target)
	s.mu.Unlock()
	notify(s.changed)
	for {
		s.mu.Lock()
		delivered, settled := s.delivered, s.settled
		s.mu.Unlock()
		switch {
		case s.ctx.Err() != nil:
			return kissmetrics.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case delivered >= target:
			return nil
		}
		select {
		case <-settled:
		case <-s.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// Close makes every later call return [kissmetrics.ErrClosed], ends Run as the end of
// its context would, and lets go of the directory. What is not in the bucket stays
// there for the next Open.
//
// The error is a [*StorageError], or that of ctx where it ends first; then closing goes
// on. Close may be called several times.
func (s *Sender) Close(ctx context.Context) error {
	ctx = nilness.Context(ctx)
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		s.stop()
		go s.end()
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("bulk: close: %w", ctx.Err())
	}
}

// end waits for all that is under way, and lets go of everything.
func (s *Sender) end() {
	s.runs.Wait()
	close(s.ending)
	<-s.written
	s.err = storageError(errors.Join(s.open.close(), s.directory.lock.Close()))
	close(s.done)
}
