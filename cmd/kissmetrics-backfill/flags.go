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

const usage = `Backfill sends messages of RudderStack or Segment, one JSON object a line, to Kissmetrics.

	backfill [flags] [file]

The file may be gzipped; - is standard input. Without a file, a sample is sent.
Without -api-key and -import, all goes to a tracking server inside the program.

`

// flags is what the command line says.
type flags struct {
	file       string // empty for the sample
	live       bool   // whether there is an API key
	apiKey     string
	baseURL    string
	rate       float64
	workers    int
	importDir  string
	fileSize   int64 // in bytes
	prefix     string
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

// parseFlags returns what args say. Where they ask for help, it is written to
// stdout and the error is errHelp.
func parseFlags(args []string, stdout io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("backfill", flag.ContinueOnError)
	set.SetOutput(io.Discard) // the error says it all
	// Not a plain string, so that -api-key "$UNSET" is not taken for no -api-key.
	set.Func("api-key", "deliver to Kissmetrics, with the API `key` of a product", func(key string) error {
		f.live, f.apiKey = true, key
		return nil
	})
	set.StringVar(&f.baseURL, "base-url", kissmetrics.DefaultBaseURL, "with -api-key, deliver to another `server`")
	set.Float64Var(&f.rate, "rate", 200, "deliver at most `n` requests a second; 0 is without limit")
	set.IntVar(&f.workers, "workers", 8, "have at most `n` requests under way")
	set.StringVar(&f.importDir, "import", "", "write files for the bulk import into this `directory` instead")
	size := set.Float64("file-size", 50, "with -import, begin a new file before one has more than so many `MB`")
	set.StringVar(&f.prefix, "prefix", "none", "name properties after their event: none, hyphen or spaced, in this `style`")
	set.Func("now", "the `time`, as in 2026-03-02T09:30:00Z, of messages that have none (default: they are refused)", func(s string) (err error) {
		f.now, err = time.Parse(time.RFC3339, s)
		return err
	})
	set.StringVar(&f.checkpoint, "checkpoint", "", "note in this `file` how far all is done (default: <file>.checkpoint)")
	set.StringVar(&f.refused, "refused", "", "keep lines that are refused in this `file` (default: <file>.refused)")
	set.BoolVar(&f.resume, "resume", false, "go on where the checkpoint says; from the start where there is none")
	set.DurationVar(&f.grace, "grace", 30*time.Second, "after Ctrl-C, deliver what has been begun for at most this `time`")
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
		return f, errors.New(problem + " (-h tells the flags)")
	case set.NArg() > 1: // not quoted: one may be a key that lacks its flag
		return f, fmt.Errorf("one file is expected, and not %d arguments; flags come before it", set.NArg())
	}
	f.file = set.Arg(0)
	f.fileSize = int64(*size * 1e6)
	if err := f.validate(); err != nil {
		return f, err
	}
	f.name()
	return f, nil
}

// validate reports every flag that does not go with the others.
func (f *flags) validate() error {
	var wrong []error
	check := func(ok bool, problem string) {
		if !ok {
			wrong = append(wrong, errors.New(problem))
		}
	}
	check(!f.live || f.importDir == "", "-api-key delivers and -import writes files: give one of the two")
	check(!f.live || f.file != "", "-api-key needs a file, or - for standard input: the sample is not for a real product")
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

// demo reports whether all goes to a server of the program's own.
func (f *flags) demo() bool { return !f.live && f.importDir == "" }

// name names the files that have no name yet. A demonstration leaves none
// behind.
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
