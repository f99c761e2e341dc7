package natsbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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
		problems, err := r.look(ctx)
		switch {
		case isFinal(err):
			stop(r.stopped(err))
		case err != nil && ctx.Err() == nil: // the workers may know nothing of it yet
			r.warn(ctx, err)
		case err == nil:
			if len(problems) > 0 && !slices.Equal(problems, known) {
				r.config.logger.ErrorContext(ctx, "natsbox: the settings were changed", "error", &SettingsError{problems})
			}
			known = problems
		}
	}
}

// lookAtSettings returns what is wrong with the stream, and whether the consumer is
// paused, or an error if that cannot be had, or if the consumer is wrong.
func (r *relay) lookAtSettings(ctx context.Context) ([]string, error) {
	consumer, err := r.consumer(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, r.config.stream)
	if err != nil {
		return nil, err
	}
	problems := r.config.streamProblems(&stream.CachedInfo().Config)
	if info := consumer.CachedInfo(); info.Paused && info.Config.PauseUntil != nil {
		problems = append(problems, "consumer "+consumerName+": it is paused until "+info.Config.PauseUntil.UTC().Format(time.RFC3339))
	}
	if r.passesOver(consumer.CachedInfo(), stream.CachedInfo()) {
		problems = append(problems, "consumer "+consumerName+": it passes over messages that wait; delete it, and it is created anew")
	}
	return problems, nil
}

// passesOver reports whether the consumer takes for acknowledged what is in the stream,
// as after a reset to a later message. A message that was acknowledged just now may be
// there still, but not at the next look.
func (r *relay) passesOver(consumer *jetstream.ConsumerInfo, stream *jetstream.StreamInfo) bool {
	before, first := r.passed, stream.State.FirstSeq
	r.passed = 0
	if stream.State.Msgs > 0 && first <= consumer.AckFloor.Stream {
		r.passed = first
	}
	return r.passed > 0 && r.passed == before
}

// stopped says that a relay cannot go on.
func (s *Sender) stopped(err error) error {
	return fmt.Errorf("natsbox: the relay cannot go on: %w", s.explained(err))
}
