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
