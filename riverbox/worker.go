package riverbox

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

const (
	// maxHold bounds the wait that an answer can ask for.
	maxHold = 5 * time.Minute
	// newerWait is when a job is looked at again that a newer program wrote.
	newerWait = 5 * time.Minute
	// spread is the time over which jobs that were held back together come back.
	spread = time.Second
	// parkTimeout bounds the parking of a message when the client stops.
	parkTimeout = 5 * time.Second
)

// What the failures of a next sender that is not one are called.
const (
	nextIsNil    = "riverbox: the next sender is nil"
	nextPanicked = "riverbox: the next sender panicked"
)

// A Worker is a [river.Worker] that delivers what a [Sender] stores.
type Worker struct {
	river.WorkerDefaults[Args]

	sender *Sender
	next   kissmetrics.Sender

	mu        sync.Mutex
	heldUntil time.Time // when the server wants to be asked again
}

// NewWorker returns a worker, for [river.AddWorker], that delivers what the sender
// stores to next, such as a [kissmetrics.HTTPSender] with WithMaxAttempts(1): the
// retries are done here, with the waits of the sender's [WithBackoff]. See the
// package for what becomes of failures.
//
// An attempt may take as long as the River client's JobTimeout, one minute by
// default. A message that needs longer continues where it was cut off.
//
// A panic of next is a failure like any other. So is a next that is nil.
func NewWorker(sender *Sender, next kissmetrics.Sender) *Worker {
	return &Worker{sender: sender, next: next}
}

// held says for how much longer no job is to be tried.
func (w *Worker) held() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Until(w.heldUntil) // by the monotonic clock
}

// hold has no job tried for so long, or for longer if that was asked before.
func (w *Worker) hold(wait time.Duration) {
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
	// Done is how many records, from the first, have their outcome.
	Done int `json:"done,omitempty"`
	// Refused is why one of those was refused.
	Refused string `json:"refused,omitempty"`
	// Failures is how many attempts failed since the last that achieved something.
	Failures int `json:"failures,omitempty"`
	// Failure is the last one, for people to read.
	Failure string `json:"failure,omitempty"`
}

// progressOf reads a job's metadata. A job whose progress makes no sense begins
// anew.
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
func (w *Worker) Work(ctx context.Context, job *river.Job[Args]) error {
	if wait := w.held(); wait > 0 {
		return river.JobSnooze(wait + jitter(spread))
	}
	records, err := job.Args.Records()
	switch {
	case errors.Is(err, errNewer):
		return river.JobSnooze(newerWait)
	case err != nil:
		return w.park(ctx, job.ID, err)
	}
	p := progressOf(job.Metadata, len(records))
	records = records[p.Done:]
	outcome := w.send(ctx, records)
	if !isTail(records, outcome.Undelivered) { // a repeat is harmless
		outcome.Refused, outcome.Undelivered = nil, records
	}
	if len(outcome.Refused) > 0 {
		p.Refused = outcome.Reason
	}
	if len(outcome.Undelivered) == 0 {
		return w.finish(ctx, job.ID, p)
	}
	if done := len(records) - len(outcome.Undelivered); done > 0 {
		p.Done += done
		p.Failures = 0
	}
	p.Failures++
	p.Failure = outcome.Reason
	wait := w.waitAfter(outcome.RetryAfter, p.Failures)
	if err := river.MetadataSet(ctx, metadataKey, p); err != nil {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // the client stops, and River frees the job
	}
	return river.JobSnooze(wait)
}

// finish ends a job of which all records have their outcome.
func (w *Worker) finish(ctx context.Context, id int64, p progress) error {
	if p != (progress{}) { // if it is ever retried, it begins anew
		if err := river.MetadataSet(ctx, metadataKey, progress{}); err != nil {
			return err
		}
	}
	if p.Refused != "" {
		return w.park(ctx, id, errors.New(p.Refused))
	}
	return nil
}

// park has River cancel a job, for a reason. The error is tried again by River.
func (w *Worker) park(ctx context.Context, id int64, reason error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parkTimeout)
	defer cancel()
	if err := w.sender.forgetKey(ctx, id); err != nil {
		return err
	}
	return river.JobCancel(reason)
}

// waitAfter says how long a job waits after failures, and holds all jobs back if
// the answer asked for that.
func (w *Worker) waitAfter(asked time.Duration, failures int) time.Duration {
	wait := w.backoff(failures)
	if asked > 0 {
		asked = min(asked, maxHold)
		w.hold(asked)
		wait = max(wait, asked+jitter(spread))
	}
	return wait
}

// NextRetry implements [river.Worker]: when to retry a job that ended with its
// process. All other failures snooze the job.
func (w *Worker) NextRetry(job *river.Job[Args]) time.Time {
	return time.Now().Add(time.Millisecond + w.backoff(min(job.Attempt, 3)))
}

// send hands records to the next sender and settles what became of them. A panic
// leaves them undelivered.
func (w *Worker) send(ctx context.Context, records []kissmetrics.Record) (outcome kissmetrics.Outcome) {
	if nilness.IsNil(w.next) {
		return kissmetrics.Outcome{Undelivered: records, Reason: nextIsNil}
	}
	defer func() {
		if recover() != nil { // the value may hold anything
			outcome = kissmetrics.Outcome{Undelivered: records, Reason: nextPanicked}
		}
	}()
	return kissmetrics.Settle(records, w.next.Send(ctx, slices.Clone(records)))
}

// isTail reports whether some records are the last of all.
func isTail(records, some []kissmetrics.Record) bool {
	return len(some) <= len(records) && slices.EqualFunc(records[len(records)-len(some):], some, func(a, b kissmetrics.Record) bool {
		return a.Kind == b.Kind && a.Person == b.Person && a.Name == b.Name && a.Time.Equal(b.Time) &&
			slices.Equal(a.Properties, b.Properties)
	})
}

// backoff returns the wait after so many failures in a row; see [WithBackoff].
func (w *Worker) backoff(failures int) time.Duration {
	return retry.Wait(failures, w.sender.config.initialBackoff, w.sender.config.maxBackoff)
}

func jitter(most time.Duration) time.Duration {
	return rand.N(most) //nolint:gosec // nobody gains by guessing it
}
