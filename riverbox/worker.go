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
	"github.com/kissmetrics-go/kissmetrics/internal/attempt"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
	"github.com/kissmetrics-go/kissmetrics/limit"
)

const (
	// maxHold bounds the wait that an answer can ask for.
	maxHold = 5 * time.Minute
	// newerWait is when a job is looked at again that a newer program wrote.
	newerWait = 5 * time.Minute
	// longestHere bounds how long a job that is held back waits in its worker.
	longestHere = 10 * time.Second
	// spread is the time over which jobs that were held back together come back.
	spread = time.Second
	// triedOften is how often a message is refused before it counts for how long: a
	// clock that jumps a day ahead would otherwise park all that is refused just now.
	triedOften = 50
	// parkTimeout bounds the parking of a message when the client stops.
	parkTimeout = 5 * time.Second
)

// nextIsNil is why a worker without a next sender delivers nothing, and errNoSender why
// one does not that has no sender either.
const nextIsNil = "riverbox: the next sender is nil"

var errNoSender = errors.New("riverbox: the sender is nil")

// A Worker is a [river.Worker] that delivers what a [Sender] stores.
type Worker struct {
	river.WorkerDefaults[Args]

	sender  *Sender
	next    kissmetrics.Sender
	limiter *limit.Limiter

	mu        sync.Mutex
	heldUntil time.Time // when the server wants to be asked again
}

// NewWorker returns a worker, for [river.AddWorker], that delivers what the sender
// stores to next, usually a [kissmetrics.HTTPSender], which tries each record once:
// the retries are done here, with the waits of the sender's [WithBackoff]. See the
// package for what becomes of failures.
//
// The worker has as many deliveries under way as go through, by the rule of a
// [limit.Limiter], up to what [WithWorkers] and River's MaxWorkers allow. A message
// that waits for its turn is one of the jobs that River counts as running.
//
// An attempt may take as long as the River client's JobTimeout, one minute by
// default. A message that needs longer continues where it was cut off.
//
// A panic of next is a failure like any other. So is a next or a sender that is nil.
func NewWorker(sender *Sender, next kissmetrics.Sender) *Worker {
	if sender == nil {
		sender, next = &Sender{config: defaults()}, nil
	}
	if !nilness.IsNil(next) {
		next = attempt.By(next)
	}
	return &Worker{sender: sender, next: next, limiter: limit.New(sender.config.workers)}
}

// held says for how much longer no job is to be tried.
func (w *Worker) held() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Until(w.heldUntil) // by the monotonic clock
}

// holdOn waits while no job is to be tried, for a while, so that River does not
// fetch others in its place. It returns for how much longer that is.
func (w *Worker) holdOn(ctx context.Context) time.Duration {
	wait := w.held()
	if wait <= 0 {
		return 0
	}
	waitHere(ctx, wait)
	return w.held()
}

// waitHere waits, but not for longer than a job may be kept from others.
func waitHere(ctx context.Context, wait time.Duration) {
	select {
	case <-time.After(min(wait, longestHere)):
	case <-ctx.Done():
	}
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
	// RefusedSince is when something on the way began to refuse what is left.
	RefusedSince time.Time `json:"refused_since,omitzero"`
	// Refusals is how often it did so since then.
	Refusals int `json:"refusals,omitempty"`
}

// aged returns what an outcome means for records that are refused for so long, and
// so often, and keeps since when.
func (p *progress) aged(outcome kissmetrics.Outcome, now time.Time) kissmetrics.Outcome {
	switch {
	case outcome.Kind != kissmetrics.FailureRefused || len(outcome.Undelivered) == 0:
		p.RefusedSince, p.Refusals = time.Time{}, 0
		return outcome
	case p.RefusedSince.IsZero() || p.RefusedSince.After(now):
		p.RefusedSince = now
	}
	if p.Refusals++; p.Refusals < triedOften {
		return outcome
	}
	return outcome.Aged(now.Sub(p.RefusedSince))
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
	late := behind(job)
	err := w.work(ctx, job)
	if snooze, ok := errors.AsType[*river.JobSnoozeError](err); ok && late > 0 {
		waitHere(ctx, min(snooze.Duration, late))
	}
	return err
}

// behind says by how much the clock of this machine is behind the database's. River
// sets when a job is due by the one, and fetches it by the other, so that the job would
// be due at once.
func behind(job *river.Job[Args]) time.Duration {
	if job.AttemptedAt == nil { // which is the database's time
		return 0
	}
	return time.Until(*job.AttemptedAt)
}

// work delivers the records of a job.
func (w *Worker) work(ctx context.Context, job *river.Job[Args]) error {
	if wait := w.holdOn(ctx); wait > 0 {
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
	outcome, err := w.send(ctx, records)
	if err != nil {
		return err
	}
	outcome = p.aged(outcome, time.Now().UTC())
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

// send hands records to the next sender, as soon as one more message may be under
// way, and settles what became of them. The error is for River, if there was no
// attempt.
func (w *Worker) send(ctx context.Context, records []kissmetrics.Record) (kissmetrics.Outcome, error) {
	if nilness.IsNil(w.next) {
		return kissmetrics.Outcome{Undelivered: records, Reason: nextIsNil}, nil
	}
	release, err := w.limiter.Acquire(ctx, records)
	switch {
	case errors.Is(err, context.Canceled):
		return kissmetrics.Outcome{}, err // the client stops, and River frees the job
	case err != nil:
		return kissmetrics.Outcome{}, river.JobSnooze(jitter(spread)) // it has waited for as long as it may
	}
	err = kissmetrics.ErrSenderPanicked // or ended the goroutine
	defer func() { release(err) }()
	err = w.next.Send(ctx, slices.Clone(records))
	return kissmetrics.Settle(records, err), nil
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
