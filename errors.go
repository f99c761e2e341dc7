package kissmetrics

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrClosed is returned by a [Client] or a [Queue] that has been closed. What
// was handed over is not sent.
var ErrClosed = errors.New("kissmetrics: closed")

// ErrQueueFull is returned by a [Queue] that has no room for a message. Nothing
// of it was accepted.
var ErrQueueFull = errors.New("kissmetrics: the queue is full")

// ErrInvalidOption is what every error of [New], [NewHTTPSender] and [NewQueue] wraps. The
// error joins one line for every option that is wrong.
var ErrInvalidOption = errors.New("kissmetrics: invalid option")

// A ValidationError says what is wrong with a message or a record, found before
// anything of it was sent. Where several things are wrong, the error joins one
// ValidationError for each, as [errors.Join] does.
//
// It may name a property, but never quotes a value.
type ValidationError struct {
	// Field is what is wrong: "identity", "event", "timestamp", "userId",
	// "anonymousId", "previousId", "groupId", "type", "property", or "message"
	// for JSON that is not a message at all.
	Field string
	// Reason says what is wrong with it, for people to read.
	Reason string
}

func (e *ValidationError) Error() string {
	return "kissmetrics: invalid " + e.Field + ": " + e.Reason
}

// A LineError says which line of an import could not be read; see [ReadImport].
// Of what a line holds, its text tells no more than a [ValidationError] does.
type LineError struct {
	// Line is the number of the line, the first being 1.
	Line int
	// Err is what is wrong with the line, one or several joined [*ValidationError],
	// or else why the reading failed.
	Err error
}

func (e *LineError) Error() string {
	reason := strings.ReplaceAll(strings.TrimPrefix(e.Err.Error(), "kissmetrics: "), "\nkissmetrics: ", "; ")
	return "kissmetrics: line " + strconv.Itoa(e.Line) + ": " + reason
}

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// problems collects the validation errors of one message or record.
type problems []error

// mostProblems bounds what one hostile message can make an error say.
const mostProblems = 16

func (p *problems) add(field, reason string) {
	if len(*p) < mostProblems {
		*p = append(*p, &ValidationError{Field: field, Reason: reason})
	}
}

// err returns nil, the only problem, or all of them joined.
func (p problems) err() error {
	if len(p) == 1 {
		return p[0]
	}
	return errors.Join(p...)
}

// quoted returns a name fit for an error: quoted, and cut where it is long.
func quoted(name string) string {
	const most = 64
	if len(name) > most {
		return strconv.Quote(strings.ToValidUTF8(name[:most], "")) + "…"
	}
	return strconv.Quote(name)
}

// A FailureKind says what a failed delivery means for the records that were not
// delivered.
type FailureKind int

const (
	// FailureUnavailable means that the server could not be reached, or asked to be left
	// alone (408, 425, 429, 5xx), at every attempt. Sending again later is
	// likely to succeed.
	FailureUnavailable FailureKind = iota + 1
	// FailureRefused means that the server, or something before it, answered with a
	// status that a repeat will not change, such as 400, 403 or a redirect.
	FailureRefused
	// FailureCanceled means that the caller's context ended first.
	FailureCanceled
)

// String returns "unavailable", "refused" or "canceled".
func (k FailureKind) String() string {
	switch k {
	case FailureUnavailable:
		return "unavailable"
	case FailureRefused:
		return "refused"
	case FailureCanceled:
		return "canceled"
	}
	return "FailureKind(" + strconv.Itoa(int(k)) + ")"
}

// A DeliveryError says why records were not delivered, and which. Those in
// Undelivered can be sent again, and so can all of them: every record carries
// its own second, by which Kissmetrics recognises a repeat.
//
// Its text holds neither the API key nor a query string nor a property value.
// It unwraps to its cause: [errors.Is] and [errors.As] find the error of the
// [Doer] and what that wraps, less the [*net/url.Error] that holds the URL.
type DeliveryError struct {
	// Kind, Attempts, StatusCode, RetryAfter and Err are of the first record
	// that failed.
	Kind FailureKind
	// Attempts is the number of requests made for it.
	Attempts int
	// StatusCode is that of the last answer, zero where none came.
	StatusCode int
	// RetryAfter is how long the last answer asked to wait, zero where it did not.
	RetryAfter time.Duration
	// Delivered, Refused and Undelivered hold every record, each in one of them,
	// in the order in which they were given: what the server accepted, what it
	// will never accept, and what it has not accepted yet, or of which it is not
	// known.
	Delivered, Refused, Undelivered []Record
	// Err is the cause, or nil where the answer says it all. Its text is safe too.
	Err error

	reason string // for people to read, without secrets
}

func (e *DeliveryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kissmetrics: delivery %s", e.Kind)
	if e.reason != "" {
		b.WriteString(": " + e.reason)
	}
	attempts := "attempts"
	if e.Attempts == 1 {
		attempts = "attempt"
	}
	fmt.Fprintf(&b, " (%d %s; %d of %d records delivered)",
		e.Attempts, attempts, len(e.Delivered), len(e.Delivered)+len(e.Refused)+len(e.Undelivered))
	return b.String()
}

// Unwrap returns the cause.
func (e *DeliveryError) Unwrap() error { return e.Err }

// GoString keeps %#v from printing the records, for a log line is where
// errors end up.
func (e *DeliveryError) GoString() string {
	return fmt.Sprintf("&kissmetrics.DeliveryError{%q}", e.Error())
}

// Temporary reports whether sending again may succeed: true unless the server
// refused all that was not delivered.
func (e *DeliveryError) Temporary() bool {
	return e.Kind != FailureRefused || len(e.Undelivered) > 0
}

// An UndeliveredError hands back what a [Queue] had not delivered when the
// context of its Close ended, so that it can be stored (a [Record] marshals to
// one line of JSON) and sent another time.
//
// Its text holds neither identities nor property values.
type UndeliveredError struct {
	// Count is the number of records.
	Count int
	// Records are those that were not delivered, or of which it is not known,
	// in no particular order.
	Records []Record
	// Err is why: that of the context.
	Err error
}

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("kissmetrics: closed with %d records undelivered: %v", e.Count, e.Err)
}

// Unwrap returns the cause.
func (e *UndeliveredError) Unwrap() error { return e.Err }

// GoString keeps %#v from printing the records.
func (e *UndeliveredError) GoString() string {
	return fmt.Sprintf("&kissmetrics.UndeliveredError{%q}", e.Error())
}
