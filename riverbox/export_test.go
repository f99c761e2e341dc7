package riverbox

import (
	"time"

	"github.com/riverqueue/river"

	"github.com/kissmetrics-go/kissmetrics"
)

// ImpatientWorker is a Worker whose waits begin with a shorter one.
func ImpatientWorker(next kissmetrics.Sender, firstWait time.Duration) river.Worker[Args] {
	return &worker{next: next, firstWait: firstWait}
}

// Backoff is how long a job waits after so many failures.
func Backoff(first time.Duration, failures int) time.Duration { return backoff(first, failures) }
