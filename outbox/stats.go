package outbox

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// Stats are the counts of an outbox, of all processes that have its file open.
type Stats struct {
	// Waiting is how many records are to be delivered.
	Waiting int64 `json:"waiting"`
	// WaitingBytes is their size; see [WithMaxBytes].
	WaitingBytes int64 `json:"waiting_bytes"`
	// Oldest is when the message was accepted that has waited longest, in whole
	// seconds. It is zero if none waits.
	Oldest time.Time `json:"oldest,omitzero"`
	// Stalled is for how long records have waited without any of them being
	// delivered or parked. It is zero if none waits, so an idle relay has none. With
	// a relay that makes no progress, or none at all, it grows.
	Stalled time.Duration `json:"stalled"`
	// Delivered is how many records were delivered since the file was made.
	Delivered int64 `json:"delivered"`
	// Parked is how many entries [Outbox.Parked] lists.
	Parked int64 `json:"parked"`
	// LogBytes is how long SQLite's write-ahead log is: a few megabytes, unless
	// something reads the file without an end; see the package documentation.
	LogBytes int64 `json:"log_bytes"`
}

// Stats returns the counts as they are now. The error is that of ctx,
// [kissmetrics.ErrClosed], or a [*StorageError].
func (o *Outbox) Stats(ctx context.Context) (Stats, error) {
	ctx = nilness.Context(ctx)
	var t totals
	var oldest []byte
	err := o.read(ctx, func(f *file) error {
		if err := t.read(ctx, f.db); err != nil {
			return err
		}
		const first = "SELECT substr(message, 1, ?) FROM kissmetrics_waiting ORDER BY id LIMIT 1"
		err := f.db.QueryRowContext(ctx, first, headerBytes).Scan(&oldest)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return Stats{}, err
	}
	stats := Stats{
		Waiting: t.records, WaitingBytes: t.bytes, Delivered: t.delivered, Parked: t.parked,
		LogBytes: o.logBytes(),
	}
	if len(oldest) == headerBytes {
		stats.Oldest = acceptedAt(oldest)
		stats.Stalled = sinceLast(stats.Oldest, time.UnixMilli(t.settledAt))
	}
	return stats, nil
}

// sinceLast returns how long ago the last of the times was, zero if none was. What lies
// ahead was told by a clock that has been put back since.
func sinceLast(times ...time.Time) (since time.Duration) {
	last, now := time.UnixMilli(0), time.Now()
	for _, at := range times {
		if at.After(last) && !at.After(now) {
			last, since = at, now.Sub(at)
		}
	}
	return since
}
