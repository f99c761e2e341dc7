package bulk

import (
	"context"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// Stats are the counts of a sender.
type Stats struct {
	// Waiting is how many records are stored, and not in the bucket.
	Waiting int64 `json:"waiting"`
	// WaitingBytes is the size of their lines.
	WaitingBytes int64 `json:"waiting_bytes"`
	// Oldest is when the record was accepted that has waited longest. It is zero if
	// none waits.
	Oldest time.Time `json:"oldest,omitzero"`
	// Delivered is how many records were put into the bucket since the directory was
	// made.
	Delivered int64 `json:"delivered"`
	// LastObject is the name of the newest object in the bucket.
	LastObject string `json:"last_object,omitzero"`
	// LastError is why the latest attempt at an upload has failed. It is empty if it
	// has not.
	LastError string `json:"last_error,omitzero"`
	// Failing is since when uploads fail. It is zero if they do not.
	Failing time.Time `json:"failing,omitzero"`
	// DamagedBytes is how much of the files was damaged, and left out, since Open.
	DamagedBytes int64 `json:"damaged_bytes"`
}

// Stats returns the counts as they are now. The error is that of ctx or
// [kissmetrics.ErrClosed].
func (s *Sender) Stats(ctx context.Context) (Stats, error) {
	if err := nilness.Context(ctx).Err(); err != nil {
		return Stats{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Stats{}, kissmetrics.ErrClosed
	}
	stats := Stats{
		Waiting:      s.stored - s.delivered,
		WaitingBytes: s.openContent.bytes,
		Oldest:       s.openContent.first,
		Delivered:    s.state.Delivered,
		LastObject:   s.state.Last,
		Failing:      s.failing,
		DamagedBytes: s.damaged,
	}
	for _, f := range s.sealed {
		stats.WaitingBytes += f.bytes
		if f.records > 0 && (stats.Oldest.IsZero() || f.first.Before(stats.Oldest)) {
			stats.Oldest = f.first
		}
	}
	if s.lastError != nil {
		stats.LastError = s.lastError.Error()
	}
	return stats, nil
}
