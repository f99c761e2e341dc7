// Package complaint applies options, and collects what is wrong with them, so that all
// of it is reported at once.
package complaint

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// A List is what is wrong with options.
type List struct {
	invalid error
	from    string
	all     []error
}

// New returns an empty list. Every error of it will wrap invalid, and begin with the
// name of a package after it, unless that is empty.
func New(invalid error, from string) *List {
	if from != "" {
		from += ": "
	}
	return &List{invalid: invalid, from: from}
}

// Add adds what is wrong.
func (l *List) Add(format string, args ...any) {
	l.all = append(l.all, fmt.Errorf("%w: %s%s", l.invalid, l.from, fmt.Sprintf(format, args...)))
}

// Err returns all that is wrong as one error, or nil.
func (l *List) Err() error { return errors.Join(l.all...) }

// Backoff adds what is wrong with the waits of an option WithBackoff.
func (l *List) Backoff(initial, limit time.Duration) {
	if initial <= 0 || limit < initial {
		l.Add("WithBackoff: %v and %v are not a positive wait and its limit", initial, limit)
	}
}

// Logger adds what is wrong with the logger of an option WithLogger.
func (l *List) Logger(logger *slog.Logger) {
	if logger == nil {
		l.Add("WithLogger: the logger is nil")
	}
}

// Apply applies options, less those that are nil, which is wrong.
func Apply[O any](options []O, wrong *List, apply func(O)) {
	for _, o := range options {
		if nilness.IsNil(o) {
			wrong.Add("an option is nil")
			continue
		}
		apply(o)
	}
}
