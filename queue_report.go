package kissmetrics

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// report tells the outcome of records to the caller's function.
func (q *Queue) report(m *queued, records []Record, err error) {
	if q.config.onResult == nil {
		return
	}
	ctx := context.WithoutCancel(m.ctx)
	for _, r := range records {
		q.reportOne(ctx, r, err)
	}
}

func (q *Queue) reportOne(ctx context.Context, r Record, err error) {
	defer func() {
		if recover() != nil { // what it panics with may hold anything
			q.config.logger.ErrorContext(ctx, "kissmetrics: the function of WithOnResult panicked", "record", r)
		}
	}()
	q.config.onResult(ctx, r, err)
}

// lost notes, for the log, that records are lost.
func (q *Queue) lost(err error, records int) {
	if records > 0 {
		q.logLosses(err, records, false)
	}
}

// logLosses logs how many records were lost, at most once a minute unless it is
// the last time.
func (q *Queue) logLosses(err error, records int, last bool) {
	q.mu.Lock()
	q.losses += records
	losses := q.losses
	log := losses > 0 && (last || q.lossesAt.IsZero() || time.Since(q.lossesAt) >= lossLogInterval)
	if log {
		q.losses, q.lossesAt = 0, time.Now()
	}
	q.mu.Unlock()
	if log {
		q.config.logger.Warn("kissmetrics: records were not delivered", "records", losses, "reason", safeText(err))
	}
}

// safeText returns the text of an error that is known to hold no secrets, and
// the type of any other.
func safeText(err error) string {
	if delivery, ok := errors.AsType[*DeliveryError](err); ok {
		return delivery.Error()
	}
	if invalid, ok := errors.AsType[*ValidationError](err); ok {
		return invalid.Error()
	}
	for _, own := range []error{errSenderPanicked, ErrQueueFull, ErrClosed} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	return fmt.Sprintf("an error of type %T", err)
}
