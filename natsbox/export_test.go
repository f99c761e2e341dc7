package natsbox

import "time"

// WithAttemptTimeout sets how long an attempt at storing a message waits for an answer.
// A message whose answer comes later may be stored twice.
func WithAttemptTimeout(d time.Duration) Option { return func(c *config) { c.attemptTimeout = d } }
