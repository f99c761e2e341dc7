package riverbox

import (
	"context"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// Stats are the counts of a queue, from all senders and workers together.
type Stats struct {
	// Waiting is how many records are stored and have no outcome yet, including
	// those under way.
	Waiting int64 `json:"waiting"`
	// WaitingMessages is how many messages hold them, one for each Send.
	WaitingMessages int64 `json:"waiting_messages"`
	// UnderWay is how many of those messages a worker has.
	UnderWay int64 `json:"under_way"`
	// Oldest is when the oldest message that waits was stored, and OldestAge how
	// long ago that is by the database's clock. They are zero if none waits.
	Oldest    time.Time     `json:"oldest,omitzero"`
	OldestAge time.Duration `json:"oldest_age"`
	// Stalled is for how long messages have waited without any of them being
	// delivered or parked. It is zero if none waits, so an idle worker has none. With
	// a worker that makes no progress, or none at all, it grows.
	Stalled time.Duration `json:"stalled"`
	// Parked is how many messages [Sender.Parked] lists.
	Parked int64 `json:"parked"`
}

// statsQuery counts. A job that cannot be read counts as one record.
const statsQuery = `
	WITH waiting AS (
		SELECT state, created_at,
			CASE WHEN jsonb_typeof(args->'lines') = 'array' THEN greatest(jsonb_array_length(args->'lines'), 1) ELSE 1 END AS records,
			CASE WHEN jsonb_typeof(metadata#>'{kissmetrics,done}') = 'number' THEN (metadata#>>'{kissmetrics,done}')::numeric ELSE 0 END AS done
		FROM river_job
		WHERE kind = $1 AND queue = $2 AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
	), progress AS (
		SELECT max(finalized_at) AS last FROM river_job
		WHERE kind = $1 AND queue = $2 AND state IN ('cancelled', 'completed', 'discarded')
			AND finalized_at <= now() -- or the clock of the machine that did it is ahead
	)
	SELECT coalesce(sum(records - CASE WHEN done > 0 AND done < records THEN done ELSE 0 END), 0)::bigint,
		count(*), count(*) FILTER (WHERE state = 'running'), min(created_at),
		coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8,
		coalesce(extract(epoch FROM now() - greatest(min(created_at), (SELECT last FROM progress))), 0)::float8,
		(SELECT count(*) FROM river_job WHERE kind = $1 AND queue = $2 AND state IN ('cancelled', 'discarded'))
	FROM waiting`

// Stats asks the database for the counts. It reads every job that waits. The error
// is that of ctx, [kissmetrics.ErrClosed], or the database's.
func (s *Sender) Stats(ctx context.Context) (Stats, error) {
	if err := s.isClosed(); err != nil {
		return Stats{}, err
	}
	ctx = nilness.Context(ctx)
	var stats Stats
	var oldest *time.Time
	var age, stalled float64
	err := s.queryRow(ctx, statsQuery).Scan(
		&stats.Waiting, &stats.WaitingMessages, &stats.UnderWay, &oldest, &age, &stalled, &stats.Parked)
	if err != nil {
		return Stats{}, s.failed(ctx, "counting", err)
	}
	if oldest != nil {
		seconds := func(n float64) time.Duration { return max(0, time.Duration(n*float64(time.Second))) }
		stats.Oldest, stats.OldestAge, stats.Stalled = *oldest, seconds(age), seconds(stalled)
	}
	return stats, nil
}
