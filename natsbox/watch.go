package natsbox

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// watchEvery is how often a relay looks at the settings of its stream and consumer.
const watchEvery = 2 * time.Second

// watch looks at the settings of the stream and the consumer until done is closed,
// for somebody may change them. With a wrong consumer the relay stops: it may hand
// out no messages, or some only, and show every sign of life. A wrong stream may
// lose records, which is logged: the fewer wait in it, the better.
func (r *relay) watch(ctx context.Context, stop context.CancelCauseFunc, done <-chan struct{}) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var known []string
	for {
		select {
		case <-ticker.C:
		case <-done:
			return
		}
		if _, err := r.consumer(ctx); isFinal(err) {
			stop(stopped(err))
		}
		problems, ok := r.problems(ctx)
		if ok && len(problems) > 0 && !slices.Equal(problems, known) {
			r.config.logger.ErrorContext(ctx, "natsbox: the stream was changed", "error", &SettingsError{problems})
		}
		if ok {
			known = problems
		}
	}
}

// problems returns what is wrong with the settings of the stream, if they can be had.
func (r *relay) problems(ctx context.Context) (problems []string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, r.config.stream)
	if err != nil {
		return nil, false
	}
	return r.config.streamProblems(&stream.CachedInfo().Config), true
}

// stopped says that a relay cannot go on.
func stopped(err error) error { return fmt.Errorf("natsbox: the relay cannot go on: %w", err) }
