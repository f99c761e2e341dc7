package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// A destination takes the records of lines.
type destination interface {
	// send takes the records of a line. It reports the outcome of each to the
	// tracker, then or later.
	send(ctx context.Context, e *entry, records []kissmetrics.Record) error
	// sync makes durable what was taken, and says how far the files have got.
	sync() (fileMark, error)
	// drain waits for the outcomes of what was taken.
	drain(ctx context.Context) error
	// finish completes the files, once all lines have an outcome.
	finish() error
	// outage reports whether deliveries fail at the moment.
	outage() bool
	close() error
}

// A job is one run.
type job struct {
	flags      flags
	program    *program
	in         *input
	rejects    *rejects
	checkpoint *checkpoint
	tracker    *tracker
	out        destination
	server     *kissmetricstest.Server // in a demonstration
	complete   bool                    // whether there are no more lines, and all have an outcome
	failed     error                   // why no more checkpoints are written
	elapsed    time.Duration
}

// open opens the destination.
func (j *job) open() error {
	if j.flags.importDir != "" {
		f, err := openFiles(j.flags.importDir, j.flags.fileSize, j.checkpoint)
		if err != nil {
			return err
		}
		f.taken = func(e *entry, records int) { j.tracker.result(e, records, "") }
		f.full = j.save
		j.out = f
		return nil
	}
	f := j.flags
	if f.demo() {
		j.server = kissmetricstest.Start()
		f.apiKey, f.baseURL = "demonstration", j.server.URL
		_, _ = io.WriteString(j.program.stderr, "Without -api-key and -import, everything goes to a tracking server inside this program, and nothing leaves it.\n")
	}
	logger := slog.New(slog.DiscardHandler)
	if !f.demo() {
		logger = slog.New(slog.NewTextHandler(j.program.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	d, err := openDelivery(f, j.program.doer, logger, j.tracker.result)
	if err != nil {
		return err
	}
	j.out = d
	return nil
}

// run sends line after line, until there are no more or stop ends.
func (j *job) run(stop, hurry context.Context) (err error) {
	start := time.Now()
	defer func() { j.elapsed = time.Since(start) }()
	defer func() { err = errors.Join(err, j.out.close()) }()
	j.checkpoint.Head = j.in.head
	if err := j.save(); err != nil { // so that an unwritable file is noticed now
		return err
	}
	progress := j.showProgress()
	defer progress.stop()

	reading, cancel := context.WithCancel(stop)
	lines, ended := make(chan line, 16), make(chan error, 1)
	go func() { ended <- j.in.read(reading, lines) }()
	err = j.takeAll(stop, lines)
	cancel()
	all := false
	switch {
	case err == nil && stop.Err() == nil: // there are no more lines
		if err = <-ended; errors.Is(err, io.EOF) {
			all, err = true, nil
		} else {
			err = fmt.Errorf("reading line %d: %w", j.in.line+1, err)
		}
	case j.in.regular:
		<-ended //nolint:errcheck // it was told to end
	default: // a read from a pipe or a terminal may never end, but the process does
	}
	drained := j.drain(stop, hurry, all)
	if err == nil || drained != nil && !errors.Is(err, drained) {
		err = errors.Join(err, drained)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w; %s", err, j.howToGoOn())
	case j.checkpoint.Done:
		return nil
	}
	return fmt.Errorf("%w; %s", errInterrupted, j.howToGoOn())
}

func (j *job) howToGoOn() string {
	if j.flags.checkpoint == "" {
		return "some lines were not sent"
	}
	return fmt.Sprintf("continue after line %d with -resume", j.checkpoint.state.Line)
}

// takeAll takes lines until there are no more or ctx ends.
func (j *job) takeAll(ctx context.Context, lines <-chan line) error {
	saved := time.Now()
	for ctx.Err() == nil {
		select {
		case l, ok := <-lines:
			if !ok {
				return nil
			}
			if err := j.take(ctx, l); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
		if now := time.Now(); now.Sub(saved) >= j.program.saveEvery {
			if err := j.save(); err != nil {
				return err
			}
			saved = now
		} else if err := j.keepRefused(); err != nil {
			return err
		}
	}
	return nil
}

// take turns a line into records and hands them to the destination.
func (j *job) take(ctx context.Context, l line) error {
	e := &entry{line: l}
	var records []kissmetrics.Record
	switch {
	case l.length > maxLineBytes+len("\r\n"):
		e.reasons, e.text = []string{fmt.Sprintf("the line is longer than %d MiB", maxLineBytes>>20)}, nil
	case len(l.text) == 0 || kissmetrics.Excluded(l.text):
		e.ignored = true
	default:
		var err error
		if records, e.adjusted, err = j.transform(l.text); err != nil {
			e.reasons = strings.Split(plain(err.Error()), "\n")
		} else if len(records) > maxQueued {
			e.reasons, records = []string{fmt.Sprintf("the message becomes more than %d records", maxQueued)}, nil
		}
	}
	e.left = len(records)
	if err := j.tracker.add(ctx, e); err != nil {
		return nil //nolint:nilerr // ctx has ended, and nothing was done with the line
	}
	if len(records) == 0 {
		return nil
	}
	err := j.out.send(ctx, e, records)
	_, invalid := errors.AsType[*kissmetrics.ValidationError](err)
	switch {
	case err == nil, ctx.Err() != nil: // a line without an outcome is not passed by any checkpoint
		return nil
	case invalid, errors.Is(err, kissmetrics.ErrQueueFull): // FullWait fails only for what could never fit
		j.tracker.result(e, len(records), plain(err.Error()))
		return nil
	}
	return fmt.Errorf("line %d: %w", l.number, err)
}

func (j *job) transform(text []byte) ([]kissmetrics.Record, []kissmetrics.Adjustment, error) {
	message, err := kissmetrics.ParseMessage(text)
	if err != nil {
		return nil, nil, err
	}
	return kissmetrics.Transform(message, j.flags.now, kissmetrics.TransformOptions{
		Prefix: prefixes[j.flags.prefix],
		Strict: j.flags.strict,
	})
}

// plain removes the prefix of this library's errors.
func plain(reason string) string { return strings.ReplaceAll(reason, "kissmetrics: ", "") }

// drain waits for all outcomes, but no longer than the grace period after stop ends.
func (j *job) drain(stop, hurry context.Context, all bool) error {
	ctx, cancel := context.WithCancel(hurry)
	defer cancel()
	defer context.AfterFunc(stop, func() {
		grace := time.NewTimer(j.flags.grace)
		defer grace.Stop()
		select {
		case <-grace.C:
			cancel()
		case <-ctx.Done():
		}
	})()
	done := make(chan error, 1)
	go func() { done <- j.out.drain(ctx) }()
	ticker := time.NewTicker(j.program.saveEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			if j.complete = all && j.tracker.idle(); j.complete {
				if err := j.out.finish(); err != nil {
					return err
				}
			}
			return j.save()
		case <-ticker.C:
			if err := j.save(); err != nil {
				return errors.Join(err, <-done)
			}
		}
	}
}

// keepRefused writes refused lines to their file, so that they take no memory.
func (j *job) keepRefused() error {
	return j.fail("writing the refused lines", j.rejects.write(j.tracker.takeRefused()))
}

// fail remembers an error after which no checkpoint is written, since it could
// cover lines that were not.
func (j *job) fail(doing string, err error) error {
	if err != nil && j.failed == nil {
		j.failed = fmt.Errorf("%s: %w", doing, err)
	}
	return j.failed
}

// save writes a checkpoint. Everything that it covers is made durable first.
func (j *job) save() error {
	if j.failed != nil {
		return j.failed
	}
	next := *j.checkpoint
	refused, s := j.tracker.take()
	err := j.rejects.write(refused)
	if err == nil {
		err = j.rejects.sync()
	}
	if err != nil {
		return j.fail("writing the refused lines", err)
	}
	next.state, next.state.RefusedBytes = s, j.rejects.bytes
	if next.File, j.failed = j.out.sync(); j.failed != nil {
		return j.failed
	}
	next.Done = j.complete
	if err := next.save(j.flags.checkpoint); err != nil {
		return j.fail("writing the checkpoint", err)
	}
	*j.checkpoint = next
	return nil
}
