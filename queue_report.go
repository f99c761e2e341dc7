package kissmetrics

import (
	"context"
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
func (q *Queue) lost(reason string, records int) {
	if records > 0 {
		q.logLosses(reason, records, false)
	}
}

// logLosses logs how many records were lost, at most once a minute unless it is
// the last time.
func (q *Queue) logLosses(reason string, records int, last bool) {
	q.mu.Lock()
	q.losses += records
	losses := q.losses
	log := losses > 0 && (last || q.lossesAt.IsZero() || time.Since(q.lossesAt) >= lossLogInterval)
	if log {
		q.losses, q.lossesAt = 0, time.Now()
	}
	q.mu.Unlock()
	if log {
		q.config.logger.Warn("kissmetrics: records were not delivered", "records", losses, "reason", reason)
	}
}
