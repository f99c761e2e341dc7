package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

var errHelp = flag.ErrHelp

const usage = `Kissmetrics-backfill sends messages in the JSON of RudderStack or Segment, one a
line, to Kissmetrics.

	kissmetrics-backfill [flags] [file]

The file may be gzipped; - means standard input. Without a file, a sample is
sent. With neither -api-key nor -import, everything goes to a tracking server
inside this program, and nothing leaves the machine.

The exit status is 1 if the run did not finish or every line was refused, and 2
if the command line is wrong.

`

// flags is what the command line says.
type flags struct {
	file       string // empty for the sample
	live       bool   // whether an API key was given
	apiKey     string
	baseURL    string
	rate       float64
	workers    int
	importDir  string
	fileSize   int64 // in bytes
	prefix     string
	strict     bool
	now        time.Time
	checkpoint string // empty for none
	refused    string // empty for none
	resume     bool
	grace      time.Duration
}

var prefixes = map[string]kissmetrics.PrefixStyle{
	"none":   kissmetrics.PrefixNone,
	"hyphen": kissmetrics.PrefixHyphen,
	"spaced": kissmetrics.PrefixSpacedHyphen,
}

// parseFlags returns what args say. If they ask for help, it writes that to stdout
// and returns errHelp.
func parseFlags(args []string, stdout io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("kissmetrics-backfill", flag.ContinueOnError)
	set.SetOutput(io.Discard) // the error says everything
	// A function, so that -api-key "$UNSET" differs from no -api-key.
	set.Func("api-key", "deliver to Kissmetrics with this API `key` of your product", func(key string) error {
		f.live, f.apiKey = true, key
		return nil
	})
	set.StringVar(&f.baseURL, "base-url", kissmetrics.DefaultBaseURL, "with -api-key, deliver to this `URL`")
	set.Float64Var(&f.rate, "rate", 200, "make at most `n` requests a second; 0 means no limit")
	set.IntVar(&f.workers, "workers", 8, "have at most `n` requests in flight")
	set.StringVar(&f.importDir, "import", "", "do not deliver, but write bulk import files to this `directory`")
	size := set.Float64("file-size", 50, "with -import, start a new file rather than exceed this many `MB`")
	set.StringVar(&f.prefix, "prefix", "none", "prefix property names with the event name; `style` is none, hyphen (event-name) or spaced (event - name)")
	set.BoolVar(&f.strict, "strict", false, "refuse messages of which a part cannot be sent as it is (default: adjust that part)")
	set.Func("now", "use this `time` (such as 2026-03-02T09:30:00Z) for messages without one (default: they are refused)", func(s string) (err error) {
		f.now, err = time.Parse(time.RFC3339, s)
		return err
	})
	set.StringVar(&f.checkpoint, "checkpoint", "", "keep track of finished lines in this `file` (default: <input>.checkpoint)")
	set.StringVar(&f.refused, "refused", "", "write refused lines to this `file` (default: <input>.refused)")
	set.BoolVar(&f.resume, "resume", false, "continue after the checkpoint, or start from the beginning if there is none")
	set.DurationVar(&f.grace, "grace", 30*time.Second, "after Ctrl-C, go on delivering what was begun for at most this `duration`")
	err := set.Parse(args)
	switch {
	case errors.Is(err, errHelp):
		_, _ = io.WriteString(stdout, usage)
		set.SetOutput(stdout)
		set.PrintDefaults()
		return f, err
	case err != nil:
		problem, _, _ := strings.Cut(err.Error(), "=") // what follows may be the key
		if strings.Contains(problem, "api-key") {
			problem, _, _ = strings.Cut(problem, "\"")
		}
		return f, errors.New(problem + " (-h lists the flags)")
	case set.NArg() > 1: // not quoted, since one may be a key without its flag
		return f, fmt.Errorf("expected one file, but got %d arguments; flags come before the file", set.NArg())
	}
	f.file = set.Arg(0)
	f.fileSize = int64(*size * 1e6)
	if err := f.validate(); err != nil {
		return f, err
	}
	f.name()
	return f, nil
}

// validate reports every wrong flag, and every combination that makes no sense.
func (f *flags) validate() error {
	var wrong []error
	check := func(ok bool, problem string) {
		if !ok {
			wrong = append(wrong, errors.New(problem))
		}
	}
	check(!f.live || f.importDir == "", "-api-key delivers and -import writes files: give only one of the two")
	check(!f.live || f.file != "", "-api-key needs a file, or - for standard input: the sample must not reach a real product")
	check(f.live || f.baseURL == kissmetrics.DefaultBaseURL, "-base-url needs -api-key")
	check(!f.resume || !f.demo() || f.checkpoint != "", "-resume needs -api-key, -import or -checkpoint")
	check(f.rate >= 0 && f.rate <= 1e9, "-rate must not be negative")
	check(f.workers >= 1 && f.workers <= 256, "-workers must be from 1 to 256")
	check(f.fileSize >= 1 && f.fileSize <= 1e12, "-file-size must be positive")
	check(f.grace >= 0, "-grace must not be negative")
	_, known := prefixes[f.prefix]
	check(known, "-prefix must be none, hyphen or spaced")
	return errors.Join(wrong...)
}

// demo reports whether everything goes to the server inside the program.
func (f *flags) demo() bool { return !f.live && f.importDir == "" }

// name gives the files that are still unnamed their default names. A demonstration
// leaves no files behind.
func (f *flags) name() {
	base := f.file
	if base == "" || base == "-" {
		base = "backfill"
	}
	if f.demo() {
		return
	}
	if f.checkpoint == "" {
		f.checkpoint = base + ".checkpoint"
	}
	if f.refused == "" {
		f.refused = base + ".refused"
	}
}
