package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

// maxPause bounds how long Run sleeps, for clocks that are set.
const maxPause = time.Minute

// Run puts what is stored, and what comes, into the bucket, a file at a time, until ctx
// ends. Then it stops what is under way and returns nil. When the sender is closed it
// returns [kissmetrics.ErrClosed]. Of several Runs one works, and the others wait.
//
// A failure, of the bucket or of the disk, is logged and in the [Stats], and tried
// again until it passes.
func (s *Sender) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return kissmetrics.ErrClosed
	}
	s.runs.Add(1)
	s.mu.Unlock()
	defer s.runs.Done()
	ctx, cancel := context.WithCancel(nilness.Context(ctx))
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	select {
	case <-s.running:
		s.work(ctx)
		s.running <- struct{}{}
	case <-ctx.Done():
	}
	if s.ctx.Err() != nil {
		return kissmetrics.ErrClosed
	}
	return nil
}

// work does what is due, until ctx ends.
func (s *Sender) work(ctx context.Context) {
	waits := retry.NewSchedule(s.config.initialBackoff, s.config.maxBackoff)
	for ctx.Err() == nil {
		wait, err := s.step(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.config.logger.WarnContext(ctx, "bulk: a file could not be put into the bucket yet", "error", err)
			s.fail(err)
			pause(ctx, waits.Next(0, 0), nil)
			continue
		}
		waits.Reset()
		pause(ctx, wait, s.changed)
	}
}

func (s *Sender) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastError = err
	if s.failing.IsZero() {
		s.failing = time.Now().UTC()
	}
}

// pause waits until a time has passed, something has changed, or ctx has ended.
func pause(ctx context.Context, wait time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(min(wait, maxPause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}

// step does one thing that is due, or returns how long nothing is.
func (s *Sender) step(ctx context.Context) (wait time.Duration, err error) {
	s.mu.Lock()
	sealed := s.sealed
	wait, _ = s.due(time.Now())
	s.mu.Unlock()
	switch {
	case len(sealed) > 0:
		return 0, s.deliver(ctx, sealed[0])
	case wait > 0:
		return wait, nil
	}
	done := make(chan error, 1)
	select {
	case s.commands <- func() { done <- s.seal() }:
		return 0, <-done
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// due returns how long the open file may still take records, and whether it is closed
// ahead of its time. The caller holds mu.
func (s *Sender) due(now time.Time) (wait time.Duration, early bool) {
	if s.openContent.records == 0 {
		return maxPause, false
	}
	most := 2 * s.config.interval // if it is more, the clock was set back
	at := s.openContent.first.Truncate(s.config.interval).Add(s.config.interval)
	if at.Before(s.state.NotBefore) && s.state.NotBefore.Sub(now) <= most {
		at = s.state.NotBefore
	}
	wait = at.Sub(now)
	switch {
	case wait > most:
		return 0, false
	case wait > 0 && s.wanted > s.delivered:
		return 0, true
	}
	return max(wait, 0), false
}

// seal closes the open file. Only the goroutine that writes may call it.
func (s *Sender) seal() error {
	now := time.Now().UTC()
	s.mu.Lock()
	wait, early := s.due(now)
	at := now
	if next := s.state.At.Add(time.Second); at.Before(next) {
		at = next
	}
	f := newSealed(at, s.openContent)
	s.mu.Unlock()
	if wait > 0 || f.records == 0 {
		return nil
	}
	err := s.open.renameTo(f.name())
	if s.open.file != nil { // it is still the open one
		return storageError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed, s.openContent = append(s.sealed, f), content{}
	if early {
		s.state.NotBefore = now.Truncate(s.config.interval).Add(2 * s.config.interval)
	}
	return nil
}

// object returns the name of a file's object.
func (s *Sender) object(f *sealedFile) string { return s.base + "-" + f.at.Format(nameTime) + ".json" }

// deliver puts a file into the bucket.
func (s *Sender) deliver(ctx context.Context, f *sealedFile) error {
	if err := s.directory.sync(); err != nil { // with the name under which it is found after a crash
		return storageError(err)
	}
	for tries := 1; s.state.File != f.id; tries++ { // or a crash came before it was removed
		err := s.put(ctx, f)
		if err == nil {
			break
		}
		if !errors.Is(err, errTaken) {
			return err
		}
		if err := s.rename(f); err != nil {
			return storageError(err)
		}
		if tries == maxTaken {
			return err
		}
	}
	return s.finish(f)
}

// maxTaken is how many names are tried at once. If all are taken, it may be that what
// answers is no S3 server, and has everything.
const maxTaken = 30

// put uploads a file. If it turns out to be damaged, the next attempt is without that.
func (s *Sender) put(ctx context.Context, f *sealedFile) (err error) {
	file, err := os.Open(s.directory.file(f.name()))
	if err != nil {
		return storageError(err)
	}
	defer func() { _ = file.Close() }()
	if f.bytes == 0 { // all is damaged
		return nil
	}
	err = s.bucket.put(ctx, s.object(f), f.id, f.bytes, &lineReader{frames: frames{file: file}, left: f.bytes})
	if errors.Is(err, errNoFrame) {
		c, scanErr := s.directory.scanSealed(f.name())
		if scanErr != nil {
			return storageError(scanErr)
		}
		s.mu.Lock()
		s.damaged += c.damaged - f.damaged
		s.delivered += f.records - c.records // never
		f.content = c
		s.mu.Unlock()
		return storageError(errNoFrame)
	}
	return err
}

// rename takes the next second for the name of a file's object.
func (s *Sender) rename(f *sealedFile) error {
	next := *f
	next.at = f.at.Add(time.Second)
	if err := s.directory.rename(f.name(), next.name()); err != nil {
		return err
	}
	f.at = next.at
	return s.directory.sync()
}

// finish notes that a file is in the bucket, and removes it.
func (s *Sender) finish(f *sealedFile) error {
	s.mu.Lock()
	after := s.state
	s.mu.Unlock()
	if after.File != f.id {
		if after.File = f.id; f.at.After(after.At) {
			after.Last, after.At = s.object(f), f.at
		}
		after.Delivered += f.records
		if err := s.directory.writeState(after); err != nil {
			return storageError(fmt.Errorf("noting what is in the bucket: %w", err))
		}
		s.mu.Lock()
		s.state = after
		s.mu.Unlock()
	}
	if err := s.letGo(f); err != nil {
		return storageError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = slices.Delete(s.sealed, 0, 1)
	s.delivered += f.records
	s.lastError, s.failing = nil, time.Time{}
	close(s.settled)
	s.settled = make(chan struct{})
	return nil
}

// letGo removes a file, or sets it aside if it is damaged.
func (s *Sender) letGo(f *sealedFile) error {
	if f.damaged == 0 {
		return s.directory.remove(f.name())
	}
	kept := strings.TrimSuffix(f.name(), sealedSuffix) + ".damaged"
	return errors.Join(s.directory.rename(f.name(), kept), s.directory.sync())
}

// A bucket takes objects. There is one besides for tests.
type bucket interface {
	// put makes an object of lines, all or nothing. It overwrites none: if there is one
	// of that name, put returns nil if it was made for the same id, and errTaken if not.
	put(ctx context.Context, object, id string, size int64, lines io.Reader) error
	// check is that of [Sender.Check].
	check(ctx context.Context, base string) (Report, error)
}

var errTaken = errors.New("bulk: another object has that name; if none does, whatever answers is not the bucket")
