package kissmetricstest

import (
	"context"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/pack"
)

// Recorder is a [kissmetrics.Sender] that keeps what it is sent. Its zero value
// is ready, and it is safe for concurrent use.
type Recorder struct {
	mu   sync.Mutex
	kept [][]keptRecord // a few at a time, so that none has to move for the next
	err  error
}

// Send keeps the records, unless one of them is not valid, ctx has ended, or
// [Recorder.FailWith] says otherwise; then it keeps none.
func (r *Recorder) Send(ctx context.Context, records []kissmetrics.Record) error {
	if err := nilness.Context(ctx).Err(); err != nil {
		return err
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
	for i := range records {
		r.keep(&records[i])
	}
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
	var records []kissmetrics.Record
	for _, few := range r.kept {
		for _, kept := range few {
			records = append(records, kept.record())
		}
	}
	return records
}

func (r *Recorder) keep(record *kissmetrics.Record) {
	const few = 16
	last := len(r.kept) - 1
	if last < 0 || len(r.kept[last]) == few {
		r.kept = append(r.kept, make([]keptRecord, 0, few))
		last++
	}
	r.kept[last] = append(r.kept[last], newKeptRecord(record))
}

// A keptRecord is a record in little memory, which shares nothing with the caller's.
type keptRecord struct {
	at   time.Time
	rest string // all but the time, packed
}

func newKeptRecord(record *kissmetrics.Record) keptRecord {
	var w pack.Writer
	write := func() {
		w.Number(uint64(record.Kind)) //nolint:gosec // of a valid record, hence 1, 2 or 3
		w.Text(record.Person)
		w.Text(record.Name)
		pack.Properties(&w, record.Properties)
	}
	write()
	w.Measured()
	write()
	return keptRecord{at: record.Time, rest: w.String()}
}

// record returns a record whose properties are shared with no other.
func (k keptRecord) record() kissmetrics.Record {
	r := pack.Reader(k.rest)
	record := kissmetrics.Record{Kind: kissmetrics.Kind(r.Number()), Person: r.Text(), Name: r.Text(), Time: k.at} //nolint:gosec // the same
	record.Properties, _ = pack.ReadProperties[kissmetrics.Property](&r, nil)
	return record
}
