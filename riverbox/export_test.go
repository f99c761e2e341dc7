package riverbox

import "time"

// Offline returns a sender without a database, for workers that need none.
func Offline(options ...Option) *Sender {
	c, err := configure(options)
	if err != nil {
		panic(err)
	}
	return &Sender{config: c}
}

// Backoff is how long a job of the worker waits after so many failures.
func (w *Worker) Backoff(failures int) time.Duration { return w.backoff(failures) }
