package kissmetrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/queue"
)

// ErrClosed is returned by a [Client] or a [Queue] that has been closed. What
// was handed over is not sent.
var ErrClosed = errors.New("kissmetrics: closed")

// ErrQueueFull is returned by a [Queue] that has no room for a message. Nothing
// of it was accepted.
var ErrQueueFull = errors.New("kissmetrics: the queue is full")

// ErrSenderPanicked stands for a panic of the sender behind a [Client], a [Queue] or a
// durable sender of this project. It is a failure that may pass.
var ErrSenderPanicked = errors.New("kissmetrics: the next sender panicked")

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
	reason := strings.ReplaceAll(strings.TrimPrefix(fmt.Sprint(e.Err), "kissmetrics: "), "\nkissmetrics: ", "; ")
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

// An Adjustment says what of a message was changed, so that the rest of it could
// be sent; [Transform] returns it. It may name a property, but never holds a
// value, and can be compared.
//
//	Kind                   what happened
//	AdjustedValueCut       a value has more characters than are kept; it was cut
//	AdjustedValueDropped   a value cannot be written, such as NaN or a function; it was dropped
//	AdjustedNameCut        the name of an event or a property has more than 255 characters; it was cut
//	AdjustedNameDropped    the name of a property is blank; it was dropped
//	AdjustedReserved       the name of a property is the protocol's own, such as _k; it was dropped
//	AdjustedClash          another name is the same to Kissmetrics, with another value; this one was dropped
//	AdjustedDepth          what is nested more than 64 levels deep, or in a cycle, was dropped
//	AdjustedCount          what comes after the first 65,536 values was dropped
//	AdjustedShape          properties or traits are no object; they were dropped
//	AdjustedTime           a time cannot be read, or is impossible; the next one, or now, was taken
//	AdjustedSecond         the Client found no second in which the event or property was the only one
//	AdjustedIdentity       an identity is not one person's, so the other one was used or no alias made; or blanks around it were removed
//	AdjustedAlias          an anonymous identity was another person's before; it was not joined to this one
//	AdjustedAmount         a revenue is not clearly an amount; it was sent without a Billing Amount
type Adjustment struct {
	// Field is what was adjusted: "event", "name", "category", "timestamp", "userId",
	// "anonymousId", "previousId", "groupId", "properties", "traits", or "property" for
	// one of them.
	Field string
	// Property is the name of the property, without a prefix, such as "plan",
	// "address.city" or "products.0.sku"; at most 255 characters of it.
	Property string
	// Kind says what happened.
	Kind AdjustmentKind
}

// An AdjustmentKind is what happens to a part of a message that cannot be sent as
// it is; see [Adjustment].
type AdjustmentKind string

// The kinds of adjustments.
const (
	AdjustedValueCut     AdjustmentKind = "value cut"
	AdjustedValueDropped AdjustmentKind = "value dropped"
	AdjustedNameCut      AdjustmentKind = "name cut"
	AdjustedNameDropped  AdjustmentKind = "blank name dropped"
	AdjustedReserved     AdjustmentKind = "reserved name dropped"
	AdjustedClash        AdjustmentKind = "one of two equal names dropped"
	AdjustedDepth        AdjustmentKind = "deep nesting dropped"
	AdjustedCount        AdjustmentKind = "too many values dropped"
	AdjustedShape        AdjustmentKind = "no object, dropped"
	AdjustedTime         AdjustmentKind = "time replaced"
	AdjustedSecond       AdjustmentKind = "no second of its own"
	AdjustedIdentity     AdjustmentKind = "identity replaced"
	AdjustedAlias        AdjustmentKind = "alias left out"
	AdjustedAmount       AdjustmentKind = "no amount"
)

// String returns the field, the property where there is one, and the kind.
func (a Adjustment) String() string {
	if a.Property == "" && a.Field != "property" {
		return a.Field + ": " + string(a.Kind)
	}
	return a.Field + " " + quoted(a.Property) + ": " + string(a.Kind)
}

// A FailureKind says what a failed delivery means for the records that were not
// delivered.
type FailureKind int

const (
	// FailureUnavailable means that the server could not be reached, or asked to be left
	// alone (408, 425, 429, 5xx), at every attempt. Sending again later is
	// likely to succeed.
	FailureUnavailable FailureKind = iota + 1
	// FailureRefused means that there was an answer which Kissmetrics never gives,
	// such as 403, a redirect or a web page: something on the way to it refused the
	// record, at every attempt. A repeat is likely to be refused too, until somebody
	// fixes that.
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
// [Doer] and what that wraps, except the [*net/url.Error] that holds the URL.
type DeliveryError struct {
	// Kind, Attempts, StatusCode, RetryAfter, Reason and Err are those of one record:
	// the one whose failure ended the sending or, if none did, the first that failed.
	Kind FailureKind
	// Attempts is the number of requests made for it.
	Attempts int
	// StatusCode is that of the last answer, or zero if none came.
	StatusCode int
	// RetryAfter is how long the last answer asked to wait, or zero if it did not.
	RetryAfter time.Duration
	// Delivered, Refused and Undelivered hold every record, each in one of them,
	// in the order in which they were given: what the server accepted, what it
	// will never accept, and what it has not accepted yet, or may not have.
	Delivered, Refused, Undelivered []Record
	// Reason says why, for people and logs. It must hold no secrets.
	Reason string
	// Err is the cause, or nil where Reason says it all. Where Reason is empty, the
	// text of Err stands for it, and must hold no secrets either.
	Err error
}

func (e *DeliveryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kissmetrics: delivery %s", e.Kind)
	if reason := e.Reason; reason != "" {
		b.WriteString(": " + reason)
	} else if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
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

// Retryable reports whether sending again may succeed: true unless the server
// refused all that was not delivered.
func (e *DeliveryError) Retryable() bool {
	return e.Kind != FailureRefused || len(e.Undelivered) > 0
}

// An UndeliveredError hands back what a [Queue] had not delivered when the
// context of its Close ended, so that it can be stored (a [Record] marshals to
// one line of JSON) and sent another time.
//
// Its text holds neither identities nor property values.
type UndeliveredError struct {
	// Records are those that were not delivered, or may not have been, in no
	// particular order.
	Records []Record
	// Err is why: that of the context.
	Err error
}

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("kissmetrics: closed with %d records undelivered: %v", len(e.Records), e.Err)
}

// Unwrap returns the cause.
func (e *UndeliveredError) Unwrap() error { return e.Err }

// GoString keeps %#v from printing the records.
func (e *UndeliveredError) GoString() string {
	return fmt.Sprintf("&kissmetrics.UndeliveredError{%q}", e.Error())
}

// An Outcome is what became of records that were handed to a [Sender].
type Outcome struct {
	// Delivered were taken, Refused never will be, and Undelivered are to be tried
	// again. Every record is in one of them, in the order in which they were given.
	Delivered, Refused, Undelivered []Record
	// Kind is that of the [DeliveryError], and zero where there was none.
	Kind FailureKind
	// RetryAfter is how long the other side asked to wait, at most 5 minutes, and
	// zero where it did not.
	RetryAfter time.Duration
	// Throttled says that the other side refused because too much came at a time: it
	// answered 429, or asked to wait. Sending slower helps.
	Throttled bool
	// Overloaded says that it answered 503 and asked to wait. Sending less at once may
	// help, too.
	Overloaded bool
	// Reason says why, for logs: it holds no secrets.
	Reason string
}

// Settle says what the error that a [Sender] returned for records means for each
// of them:
//
//   - nil: all were delivered;
//   - a [*DeliveryError] that lists as many records as were given, and none as
//     undelivered that was not: what it says;
//   - any other DeliveryError that is not [DeliveryError.Retryable], and a
//     [*ValidationError]: all are refused for good;
//   - anything else: none was delivered, and all are to be tried again.
//
// An error whose methods panic, such as a nil pointer, is one of the last kind.
func Settle(records []Record, err error) (outcome Outcome) {
	if err == nil {
		return Outcome{Delivered: records}
	}
	defer func() {
		if recover() != nil {
			outcome = Outcome{Undelivered: records, Reason: unknownReason(err)}
		}
	}()
	outcome.Reason = safeReason(err)
	delivery, isDelivery := errors.AsType[*DeliveryError](err)
	_, isValidation := errors.AsType[*ValidationError](err)
	if isDelivery {
		outcome.Kind = delivery.Kind
		outcome.RetryAfter = min(max(delivery.RetryAfter, 0), maxRetryAfter)
		outcome.Overloaded = outcome.RetryAfter > 0 && delivery.StatusCode == http.StatusServiceUnavailable
		outcome.Throttled = outcome.RetryAfter > 0 || delivery.StatusCode == http.StatusTooManyRequests
	}
	switch {
	case isDelivery && len(delivery.Delivered)+len(delivery.Refused)+len(delivery.Undelivered) == len(records) && isPart(delivery.Undelivered, records):
		outcome.Delivered, outcome.Refused, outcome.Undelivered = delivery.Delivered, delivery.Refused, delivery.Undelivered
	case isDelivery && !delivery.Retryable(), !isDelivery && isValidation:
		outcome.Refused = records
	default:
		outcome.Undelivered = records
	}
	return outcome
}

// isPart reports whether some records are among all, in their order.
func isPart(some, all []Record) bool {
	for _, r := range all {
		if len(some) > 0 && isSame(r, some[0]) {
			some = some[1:]
		}
	}
	return len(some) == 0
}

func isSame(a, b Record) bool {
	return a.Kind == b.Kind && a.Person == b.Person && a.Name == b.Name && a.Time.Equal(b.Time) && slices.Equal(a.Properties, b.Properties)
}

// refusedFor is how long records are refused on their way before that is taken for
// good.
const refusedFor = 24 * time.Hour

// Aged returns what an outcome means for records that have been tried for the given
// time. Those that something on the way to Kissmetrics still refuses after a day
// ([FailureRefused]) are refused for good.
func (o Outcome) Aged(age time.Duration) Outcome {
	if o.Kind == FailureRefused && age >= refusedFor {
		o.Refused, o.Undelivered = slices.Concat(o.Refused, o.Undelivered), nil
	}
	return o
}

// safeReason returns the text of an error that is known to hold no secrets, and
// the type of any other. Errors joined are told one by one.
func safeReason(err error) string {
	switch err := err.(type) { //nolint:errorlint // what is wrapped comes below
	case *DeliveryError:
		return err.Error()
	case *ValidationError:
		return err.Error()
	case interface{ Unwrap() []error }:
		var reasons []string
		for _, e := range err.Unwrap() {
			reasons = append(reasons, safeReason(e))
		}
		return strings.Join(reasons, "; ")
	}
	for _, own := range []error{ErrQueueFull, ErrClosed, ErrSenderPanicked, queue.ErrEnded, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	if inner := errors.Unwrap(err); inner != nil {
		return safeReason(inner)
	}
	return unknownReason(err)
}

func unknownReason(err error) string { return fmt.Sprintf("an error of type %T", err) }
