package riverbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	firstWait = time.Second
	// maxWait bounds the waits between two attempts, and what a server can ask for.
	maxWait = 5 * time.Minute
	// spread is over what the jobs that were held back together come back.
	spread = time.Second
)

var (
	errSenderPanicked = errors.New("riverbox: the next sender panicked")
	errNilNext        = errors.New("riverbox: the next sender is nil")
)

// Worker returns a worker, for [river.AddWorker], that delivers what is stored to
// another sender, such as a [kissmetrics.HTTPSender] with WithMaxAttempts(1): the
// trying again is done here. See the package for what becomes of failures.
//
// An attempt may take as long as the River client's JobTimeout, one minute by
// default. A message that needs longer continues where it was cut off.
//
// Panics of the next sender are failures like others, and so is that it is nil.
func Worker(next kissmetrics.Sender) river.Worker[Args] {
	return &worker{next: next, firstWait: firstWait}
}

type worker struct {
	river.WorkerDefaults[Args]

	next      kissmetrics.Sender
	firstWait time.Duration

	mu        sync.Mutex
	heldUntil time.Time // when the server wants to be asked again
}

// held says how much longer no job is to be tried.
func (w *worker) held() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Until(w.heldUntil) // whatever becomes of the machine's clock
}

// hold has no job tried for so long, or longer where that was asked for.
func (w *worker) hold(wait time.Duration) {
	until := time.Now().Add(wait)
	w.mu.Lock()
	defer w.mu.Unlock()
	if until.After(w.heldUntil) {
		w.heldUntil = until
	}
}

// metadataKey is where a job's progress is kept.
const metadataKey = "kissmetrics"

// progress is what is kept of a job's earlier attempts.
type progress struct {
	// Done is how many records, from the first, have got their outcome.
	Done int `json:"done,omitempty"`
	// Refused is why one of those was refused.
	Refused string `json:"refused,omitempty"`
	// Failures is how many attempts failed since the last that achieved something.
	Failures int `json:"failures,omitempty"`
	// Failure is the last one, for people to read.
	Failure string `json:"failure,omitempty"`
}

// progressOf reads a job's metadata. What cannot be read begins anew.
func progressOf(metadata []byte, records int) progress {
	var all struct {
		Own progress `json:"kissmetrics"`
	}
	if json.Unmarshal(metadata, &all) != nil || all.Own.Done < 0 || all.Own.Done >= records || all.Own.Failures < 0 {
		return progress{}
	}
	return all.Own
}

// Work implements [river.Worker].
func (w *worker) Work(ctx context.Context, job *river.Job[Args]) error {
	if wait := w.held(); wait > 0 {
		return river.JobSnooze(wait + jitter(spread))
	}
	records, err := job.Args.Records()
	switch {
	case errors.Is(err, errNewer):
		return river.JobSnooze(maxWait) // for a program that can read it
	case err != nil:
		return river.JobCancel(err)
	}
	p := progressOf(job.Metadata, len(records))
	records = records[p.Done:]
	err = w.send(ctx, records)
	left, refused := outcome(records, err)
	if refused {
		p.Refused = safeText(err)
	}
	if len(left) == 0 {
		return w.finish(ctx, p)
	}
	if len(left) < len(records) {
		p.Done += len(records) - len(left)
		p.Failures = 0
	}
	p.Failures++
	p.Failure = safeText(err)
	wait := w.waitAfter(err, p.Failures)
	if err := river.MetadataSet(ctx, metadataKey, p); err != nil {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // the client stops, and River frees the job
	}
	return river.JobSnooze(wait)
}

// finish ends a job of which all records have got their outcome.
func (w *worker) finish(ctx context.Context, p progress) error {
	if p != (progress{}) { // if it is ever retried, it begins anew
		if err := river.MetadataSet(ctx, metadataKey, progress{}); err != nil {
			return err
		}
	}
	if p.Refused != "" {
		return river.JobCancel(errors.New(p.Refused))
	}
	return nil
}

// waitAfter says how long a job waits after a failure, and holds all of them back
// where the server asked for that.
func (w *worker) waitAfter(err error, failures int) time.Duration {
	wait := backoff(w.firstWait, failures)
	if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok && failed.RetryAfter > 0 {
		held := min(failed.RetryAfter, maxWait)
		w.hold(held)
		wait = max(wait, held+jitter(spread))
	}
	return wait
}

// NextRetry implements [river.Worker]: when to try again what ended with its
// process, for all other failures snooze the job.
func (w *worker) NextRetry(job *river.Job[Args]) time.Time {
	return time.Now().Add(time.Millisecond + backoff(w.firstWait, min(job.Attempt, 3)))
}

// send hands records to the next sender. A panic is an error, and so is that of an
// error that it returned, such as a nil pointer.
func (w *worker) send(ctx context.Context, records []kissmetrics.Record) (err error) {
	if isNil(w.next) {
		return errNilNext
	}
	defer func() {
		if recover() != nil { // what it panics with may hold anything
			err = errSenderPanicked
		}
	}()
	if err = w.next.Send(ctx, records); err != nil {
		_ = safeText(err)
	}
	return err
}

// outcome says which records are to be tried again, the rest being delivered or
// refused for good, and whether any was refused.
func outcome(records []kissmetrics.Record, err error) (left []kissmetrics.Record, refused bool) {
	if err == nil {
		return nil, false
	}
	failed, isDelivery := errors.AsType[*kissmetrics.DeliveryError](err)
	_, isValidation := errors.AsType[*kissmetrics.ValidationError](err)
	switch {
	case isDelivery && len(failed.Delivered)+len(failed.Refused)+len(failed.Undelivered) == len(records):
		if !isTail(records, failed.Undelivered) {
			return records, false // a repeat is harmless
		}
		return failed.Undelivered, len(failed.Refused) > 0
	case isDelivery && !failed.Retryable(), !isDelivery && isValidation:
		return nil, true
	}
	return records, false
}

// isTail reports whether some records are the last of all.
func isTail(records, some []kissmetrics.Record) bool {
	return slices.EqualFunc(records[len(records)-len(some):], some, func(a, b kissmetrics.Record) bool {
		return a.Kind == b.Kind && a.Person == b.Person && a.Name == b.Name && a.Time.Equal(b.Time) &&
			slices.Equal(a.Properties, b.Properties)
	})
}

// backoff returns the wait after so many failures in a row: evenly from zero to
// a bound that doubles ("full jitter").
func backoff(bound time.Duration, failures int) time.Duration {
	for ; failures > 1 && bound < maxWait; failures-- {
		bound *= 2
	}
	return jitter(min(bound, maxWait))
}

func jitter(most time.Duration) time.Duration {
	return rand.N(most) //nolint:gosec // nobody gains by guessing it
}

// safeText returns the text of an error that is known to hold no secrets, and
// the type of any other.
func safeText(err error) string {
	if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		return failed.Error()
	}
	if invalid, ok := errors.AsType[*kissmetrics.ValidationError](err); ok {
		return invalid.Error()
	}
	for _, known := range []error{errSenderPanicked, errNilNext, kissmetrics.ErrQueueFull, kissmetrics.ErrClosed} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return fmt.Sprintf("an error of type %T", err)
}
