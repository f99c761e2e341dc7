// Backfill sends history to Kissmetrics: the messages of RudderStack or Segment,
// one JSON object a line, as they lie in a bucket, a topic or the export of a
// warehouse; plain or gzipped, of a file or of standard input.
//
// It needs neither an account nor a network to be tried, for without an API key
// it sends to a tracking server of its own, and without a file it sends a sample:
//
//	go run ./cmd/kissmetrics-backfill
//	go run ./cmd/kissmetrics-backfill events.jsonl.gz
//
// With an API key it delivers to Kissmetrics, through a queue, at most so many
// requests a second; with -import it writes files for Kissmetrics' bulk import
// instead:
//
//	go run ./cmd/kissmetrics-backfill -api-key "$KISSMETRICS_API_KEY" -rate 100 events.jsonl
//	go run ./cmd/kissmetrics-backfill -import out -file-size 100 events.jsonl
//
// Every second it notes in a checkpoint file the line up to which every line has
// got its outcome. Ctrl-C stops it: what it has begun it still delivers, for as
// long as -grace says or until a second Ctrl-C. With -resume it goes on behind
// that line. After a Ctrl-C, a crash or a disk that was full, no line is lost.
// The lines of import files are not repeated either: what was written behind the
// checkpoint is cut off. What was delivered behind it is delivered again, which
// Kissmetrics ignores, because a line's records are the same at every run: person,
// name and second. That is why a message without any time is refused, unless -now
// gives it one. A second run with the same checkpoint is refused while the first
// is at work.
//
// A line that is refused is written to a file, with its number and the reason.
// When it is corrected, it can be sent on its own:
//
//	jq -r .input events.jsonl.refused | … | go run ./cmd/kissmetrics-backfill -api-key … -
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/kissmetrics-go/kissmetrics"
)

func main() { os.Exit(start(time.Second)) }

// start runs the program, which stores a checkpoint every so often, and returns
// its exit code.
func start(saveEvery time.Duration) int {
	// The first signal asks to stop, the second not to wait either, and a third
	// ends the process.
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
	fmt.Fprintln(os.Stderr, "backfill:", err)
	return exitCode(err)
}

// exitCode returns 2 for an error of who typed the command, and else 1.
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
	terminal       bool             // whether stderr is one
	every          time.Duration    // how often a plain line tells of the progress
	saveEvery      time.Duration    // how often a checkpoint is stored
	doer           kissmetrics.Doer // or nil
}

// errInterrupted says that not all of the input was read.
var errInterrupted = errors.New("interrupted")

// run does what args say, until stop ends; then it delivers what it has begun,
// until hurry ends.
func (p *program) run(stop, hurry context.Context, args []string) error {
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
		_, _ = fmt.Fprintf(p.stderr, "%s says that all was sent; there is nothing left to do\n", f.checkpoint)
		return errors.Join(j.out.close(), j.summary())
	}
	err = j.run(stop, hurry)
	return errors.Join(err, j.summary())
}
