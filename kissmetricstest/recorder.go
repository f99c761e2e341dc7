package kissmetricstest

import (
	"context"
	"slices"
	"sync"

	"github.com/kissmetrics-go/kissmetrics"
)

// Recorder is a [kissmetrics.Sender] that keeps what it is sent. Its zero value
// is ready, and it is safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	records []kissmetrics.Record
	err     error
}

// Send keeps the records, unless one of them is not valid, ctx has ended, or
// [Recorder.FailWith] says otherwise; then it keeps none.
func (r *Recorder) Send(ctx context.Context, records []kissmetrics.Record) error {
	if ctx != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	for _, record := range records {
		if err := record.Validate(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	kept := len(r.records)
	r.records = append(r.records, records...)
	own(r.records[kept:])
	return nil
}

// FailWith makes Send fail with err, until it is called with nil.
func (r *Recorder) FailWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Records returns the records kept so far, in the order of their arrival.
func (r *Recorder) Records() []kissmetrics.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return cloneRecords(r.records)
}

// cloneRecords returns records that share nothing with the given ones.
func cloneRecords(records []kissmetrics.Record) []kissmetrics.Record {
	clones := slices.Clone(records)
	own(clones)
	return clones
}

// own gives records properties that they share with no others.
func own(records []kissmetrics.Record) {
	for i := range records {
		records[i].Properties = slices.Clone(records[i].Properties)
	}
}
