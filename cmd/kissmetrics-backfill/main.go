// Kissmetrics-backfill sends history to Kissmetrics: messages in the JSON of
// RudderStack or Segment, one a line, as they are stored in a bucket, a topic or
// the export of a warehouse. The input is a file or standard input, and may be
// gzipped.
//
// To try it, you need neither an account nor a network. Without an API key it
// sends to a tracking server inside the program, and without a file it sends a
// sample:
//
//	go run ./cmd/kissmetrics-backfill
//	go run ./cmd/kissmetrics-backfill events.jsonl.gz
//
// With an API key it delivers to Kissmetrics, with a limit on requests a second.
// With -import it writes files for Kissmetrics' bulk import instead:
//
//	kissmetrics-backfill -api-key "$KISSMETRICS_API_KEY" -rate 100 events.jsonl
//	kissmetrics-backfill -import out -file-size 100 events.jsonl
//
// A checkpoint file, written every second, names the line up to which every line
// is finished. Ctrl-C stops the program: it still delivers what it has begun, for
// as long as -grace allows or until a second Ctrl-C. With -resume it continues
// after the checkpoint.
//
// No line is lost to a Ctrl-C, a crash or a full disk. Import files hold every
// line once: what was written after the checkpoint is cut off. What was delivered
// after the checkpoint is delivered again. Kissmetrics ignores that repeat,
// because a line becomes the same records in every run, down to the second. This
// is why a message without any time is refused unless -now gives it one. Two runs
// cannot use one checkpoint at the same time.
//
// Failed deliveries are retried, and a warning says why they fail. What something on
// the way to Kissmetrics, such as a proxy, still refuses after a day is refused for
// good.
//
// A message is left out if its "integrations" exclude Kissmetrics. If a part of a
// message cannot be sent as it is, that part is adjusted and counted; with -strict
// the line is refused instead.
//
// Refused lines are written to a file, each with its number and the reason. Once
// corrected, they can be sent on their own:
//
//	jq -r .input events.jsonl.refused | … | kissmetrics-backfill -api-key … -
//
// The exit status is 0 if every line was finished and at least one was sent (or
// there was none to send), 2 if the command line is wrong, and 1 otherwise; so it
// is 1 if every line was refused.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/kissmetrics-go/kissmetrics"
)

func main() { os.Exit(start(time.Second)) }

// start runs the program, with a checkpoint every saveEvery, and returns its exit
// code.
func start(saveEvery time.Duration) int {
	// The first signal stops reading, the second stops delivering, and a third ends
	// the process.
	stop, stopping := context.WithCancel(context.Background())
	hurry, hurrying := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		<-signals
		stopping()
		<-signals
		hurrying()
		signal.Stop(signals)
	}()
	p := program{
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		terminal:  term.IsTerminal(int(os.Stderr.Fd())), //nolint:gosec // a descriptor is small
		every:     10 * time.Second,
		saveEvery: saveEvery,
	}
	err := p.run(stop, hurry, os.Args[1:])
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "kissmetrics-backfill:", err)
	return exitCode(err)
}

// exitCode returns 2 if the command line is wrong, and 1 for any other error.
func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok || errors.Is(err, kissmetrics.ErrInvalidOption) {
		return 2
	}
	return 1
}

// program is the process around a run.
type program struct {
	stdin          io.ReadCloser
	stdout, stderr io.Writer
	terminal       bool             // whether stderr is a terminal
	every          time.Duration    // between two lines of progress, if it is not
	saveEvery      time.Duration    // between two checkpoints
	doer           kissmetrics.Doer // nil for the default
}

var (
	// errInterrupted says that some of the input was not read.
	errInterrupted = errors.New("interrupted")
	errAllRefused  = errors.New("every line was refused")
)

// run does what args say until stop ends. Then it delivers what it has begun,
// until hurry ends.
func (p *program) run(stop, hurry context.Context, args []string) error {
	p.stderr = &lockedWriter{w: p.stderr}
	f, err := parseFlags(args, p.stdout)
	switch {
	case errors.Is(err, errHelp):
		return nil
	case err != nil:
		return usageError{err}
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	saved, err := f.load()
	if err != nil {
		return err
	}
	in, err := openInput(f, p.stdin)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.resume(saved); err != nil {
		return err
	}
	rejects, err := openRejects(f.refused, saved)
	if err != nil {
		return err
	}
	defer rejects.close()
	j := &job{flags: f, program: p, in: in, rejects: rejects, checkpoint: saved, tracker: newTracker(saved.state)}
	if err := j.open(); err != nil {
		return err
	}
	if j.server != nil {
		defer j.server.Close()
	}
	if saved.Done && in.ended() {
		_, _ = fmt.Fprintf(p.stderr, "%s says that everything was sent; there is nothing left to do\n", f.checkpoint)
		return errors.Join(j.out.close(), j.summary(), j.verdict())
	}
	err = j.run(stop, hurry)
	return errors.Join(err, j.summary(), j.verdict())
}

// A lockedWriter lets many goroutines write to one writer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
