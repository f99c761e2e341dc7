// Kmreconcile compares what was sent to Kissmetrics with what Kissmetrics exports,
// and says what is missing, what is there twice, and what was altered and how.
//
//	kmreconcile -sent archive -exported export -missing missing.json
//
// Both are a folder or a file of import lines, gzipped or not, and can be given
// several times. A file may be a pipe, such as /dev/stdin. Folders in a folder are read
// too. Files in them that are not read, and revisions of an export that are not there,
// are named on standard error. What was sent is what an archive of package reconcile has
// written down, or the files of a bulk import. What is exported is a folder of
// Kissmetrics' data export. See package reconcile for what is compared, and how.
//
// It prints a table of counts; with -list, every difference as well. With -json it
// prints objects, one a line, instead: each difference, and at last the counts.
//
// The file that -missing names gets the records that are missing as lines of a bulk
// import, ready to be sent again. What the old rule for duplicates dropped is not
// among them, since it would be dropped again. The file must not be there yet, and is
// there only if the comparison was finished. Until then a file beside it, whose name
// ends in ".part", has the lines.
//
// Temporary files take about as much room as the uncompressed input; -temp says
// where.
//
// The exit status is 0 if every record arrived unaltered, 1 if some did not or some
// lines could not be read, and 2 if the comparison failed, no record was sent, the
// report could not be written, or the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // the write fails instead, and nothing is left behind
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{stdout: os.Stdout, stderr: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))} //nolint:gosec // a descriptor is small
	status := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// The exit statuses.
const (
	complete   = 0
	incomplete = 1
	failed     = 2
)

// program is the process around a comparison.
type program struct {
	stdout, stderr io.Writer
	terminal       bool // whether stderr is a terminal
}

// flags is what the command line says.
type flags struct {
	sent, exported []string
	missing        string
	temp           string
	memory         int64 // in MB
	list, json     bool
}

const usage = `Kmreconcile compares what was sent to Kissmetrics with what Kissmetrics exports.

	kmreconcile -sent path -exported path [flags]

The exit status is 0 if every record arrived unaltered, 1 if some did not, and 2 if
the comparison failed, no record was sent, or the command line is wrong.

`

// parse returns what args say. If they ask for help, the error is flag.ErrHelp.
func parse(args []string, stdout io.Writer) (f flags, err error) {
	set := flag.NewFlagSet("kmreconcile", flag.ContinueOnError)
	set.SetOutput(io.Discard) // the error says everything
	set.Func("sent", "a folder or file of what was sent, at this `path`; may be repeated", func(s string) error { f.sent = append(f.sent, s); return nil })
	set.Func("exported", "a folder or file of what Kissmetrics exports, at this `path`; may be repeated", func(s string) error { f.exported = append(f.exported, s); return nil })
	set.StringVar(&f.missing, "missing", "", "write what is missing to this new `file`, as import lines")
	set.StringVar(&f.temp, "temp", "", "keep temporary files in this `folder` (default: the system's)")
	set.Int64Var(&f.memory, "memory", 512, "use about this many `MB` of memory")
	set.BoolVar(&f.list, "list", false, "list every difference")
	set.BoolVar(&f.json, "json", false, "print JSON, one object a line")
	err = set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(stdout, usage)
		set.SetOutput(stdout)
		set.PrintDefaults()
		return f, err
	case err != nil:
		return f, fmt.Errorf("%w (-h lists the flags)", err)
	case set.NArg() > 0:
		return f, fmt.Errorf("expected no argument behind the flags, but got %d", set.NArg())
	case len(f.sent) == 0 || len(f.exported) == 0:
		return f, errors.New("-sent and -exported are both needed (-h lists the flags)")
	case f.memory < 16 || f.memory > 1<<20:
		return f, errors.New("-memory must be from 16 to 1,048,576")
	}
	return f, nil
}

// run does what args say, and returns the exit status.
func (p *program) run(ctx context.Context, args []string) int {
	f, err := parse(args, p.stdout)
	if errors.Is(err, flag.ErrHelp) {
		return complete
	}
	var counts reconcile.Counts
	if err == nil {
		counts, err = p.compare(ctx, f)
	}
	switch {
	case err != nil:
		_, _ = fmt.Fprintln(p.stderr, "kmreconcile:", strings.TrimPrefix(err.Error(), "reconcile: "))
		return failed
	case !counts.Complete():
		return incomplete
	}
	return complete
}

// compare compares the files, and reports.
func (p *program) compare(ctx context.Context, f flags) (counts reconcile.Counts, err error) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(f.memory << 20 * 15 / 16))
	sent, err := reconcile.Open(f.sent...)
	if err != nil {
		return counts, err
	}
	exported, err := reconcile.Open(f.exported...)
	if err != nil {
		return counts, err
	}
	tellSkipped(p.stderr, reconcile.Sent, sent)
	tellSkipped(p.stderr, reconcile.Exported, exported)
	out := newOutput(p.stdout, f)
	unreadable := &unreadable{w: p.stderr}
	r, err := reconcile.New(reconcile.WithTempDir(f.temp), reconcile.WithMemory(f.memory<<20/2), reconcile.WithOnUnreadable(unreadable.tell))
	if err != nil {
		return counts, err
	}
	missing, err := newLines(f.missing)
	if err != nil {
		return counts, err
	}
	defer missing.discard()
	stop := p.showProgress(r, sent, exported)
	defer stop()
	for d, err := range r.Differences(ctx, sent.Records(), exported.Records()) {
		if err == nil && d.Kind == reconcile.Missing {
			err = missing.add(ctx, d.Sent)
		}
		if err == nil {
			err = out.difference(d)
		}
		if err != nil {
			return r.Counts(), err
		}
	}
	stop()
	counts = r.Counts()
	if counts.Sent+counts.UnreadableSent == 0 {
		return counts, errors.New("what was sent has no records, so nothing is proven")
	}
	return counts, errors.Join(missing.keep(ctx), out.counts(counts, exported.Gaps()))
}
