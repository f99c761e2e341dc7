package riverbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

const (
	// watchEvery is how often a relay looks whether the tables are still there.
	watchEvery = time.Second
	// watchTimeout bounds how long it waits for the answer.
	watchTimeout = 5 * time.Second
	// warnEvery bounds how often it logs that it does not reach the database.
	warnEvery = 10 * time.Second
	// hastenEvery is how often it looks for jobs that wait for too long, and hastenMost
	// how many it then makes due. River's leader needs five seconds.
	hastenEvery = 15 * time.Second
	hastenMost  = 10_000
	// slack is how much longer than the longest wait a job may wait, for its waits are
	// reckoned on several machines.
	slack = time.Minute
	// fetchCooldown is how soon River fetches jobs again after it did.
	fetchCooldown = 20 * time.Millisecond
	// rescueAfter is when the jobs of a dead process are taken over.
	rescueAfter = 5 * time.Minute
)

// Run is the relay: it delivers what is stored to next, and what is stored while it
// runs, by a River client of its own, with the settings that the package's promise
// needs. Any number of relays may run, in one process or on many machines.
//
// It is for tables that hold no jobs but this package's: River has one leader for
// all clients of its tables, which discards stuck jobs of kinds that it does not
// know. If there are jobs of other kinds, or such come while it runs, Run returns an
// error. A program that has its own River jobs adds a [NewWorker] to its own River
// client instead, or gives this package tables of its own ([WithSchema]).
//
// Run survives the loss of connections, of the database, and of River's leader. It
// returns nil when ctx has ended or [Sender.Close] was called, and its deliveries
// have ended, whose context ends at the same time; what is undelivered then is free
// for another relay at once. Otherwise it returns why it cannot go on: the tables
// are gone, they hold other jobs, or the pool was closed.
func (s *Sender) Run(ctx context.Context, next kissmetrics.Sender) error {
	if nilness.IsNil(next) {
		return fmt.Errorf("%w: Run: the next sender is nil", kissmetrics.ErrInvalidOption)
	}
	ctx, end, ok := s.lifetime.Begin(nilness.Context(ctx))
	if !ok {
		return kissmetrics.ErrClosed
	}
	defer end()
	client, err := river.NewClient(riverpgxv5.New(s.pool), s.riverConfig(next))
	if err != nil {
		return fmt.Errorf("riverbox: %w", err)
	}
	started, paused := false, false
	hastened := time.Now()
	err = s.watch(ctx, func() error {
		err := s.alone(ctx) // others may come later
		if err == nil && time.Since(hastened) >= hastenEvery {
			hastened = time.Now()
			err = s.hasten(ctx)
		}
		if err == nil && !started {
			err = client.Start(context.WithoutCancel(ctx))
			started = err == nil
		}
		if err == nil {
			paused = s.lookPaused(ctx, client, paused)
		}
		return err
	})
	if started {
		// It waits for the deliveries, whose contexts have ended.
		err = errors.Join(err, client.StopAndCancel(context.WithoutCancel(ctx)))
	}
	return err
}

// riverConfig returns the settings of the River client that delivers.
func (s *Sender) riverConfig(next kissmetrics.Sender) *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, NewWorker(s, next))
	return &river.Config{
		Queues:                      map[string]river.QueueConfig{s.config.queue: {MaxWorkers: s.config.workers}},
		Workers:                     workers,
		Schema:                      s.config.schema,
		PollOnly:                    s.config.pollOnly,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           min(max(s.config.initialBackoff, fetchCooldown), time.Second),
		RescueStuckJobsAfter:        rescueAfter,
		CancelledJobRetentionPeriod: -1,
		DiscardedJobRetentionPeriod: -1,
		Logger:                      s.config.logger,
	}
}

// errOtherJobs says that River's tables are not this package's alone.
var errOtherJobs = errors.New("there are River jobs of other kinds, so add NewWorker to the River client that works them")

// alone reports whether the tables hold no jobs but this package's.
func (s *Sender) alone(ctx context.Context) error {
	var others bool
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	err := s.pool.QueryRow(ctx, s.in(`SELECT EXISTS (SELECT 1 FROM river_job WHERE kind < $1) OR
		EXISTS (SELECT 1 FROM river_job WHERE kind > $1)`), Args{}.Kind()).Scan(&others)
	if err == nil && others {
		return errOtherJobs
	}
	return err
}

// hasten makes jobs due whose time lies further ahead than any wait is long, and those
// whose time has come, but which River's leader leaves waiting: a clock was put back, or
// is wrong on the machine that stored them, tried them, or leads.
func (s *Sender) hasten(ctx context.Context) error {
	longest := max(s.config.maxBackoff, maxHold, newerWait) + slack
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, s.in(`UPDATE river_job SET state = 'available', scheduled_at = least(scheduled_at, now()) WHERE id IN (
		SELECT id FROM river_job WHERE kind = $1 AND queue = $2 AND priority IN (1, 2, 3, 4) AND (
			state IN ('available', 'retryable', 'scheduled') AND scheduled_at > now() + make_interval(secs => $3) OR
			state IN ('retryable', 'scheduled') AND scheduled_at < now() - make_interval(secs => $4))
		LIMIT $5 FOR UPDATE SKIP LOCKED)`), Args{}.Kind(), s.config.queue, longest.Seconds(), hastenEvery.Seconds(), hastenMost)
	if err == nil && tag.RowsAffected() > 0 {
		s.config.logger.WarnContext(ctx, "riverbox: River let jobs wait for too long, and they are due now; a clock may be wrong", "jobs", tag.RowsAffected())
	}
	return err
}

// lookPaused looks whether somebody has paused the queue, and logs that it was. If that
// cannot be told, it is as it was known.
func (s *Sender) lookPaused(ctx context.Context, client *river.Client[pgx.Tx], known bool) bool {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	queue, err := client.QueueGet(ctx, s.config.queue)
	if err != nil {
		return known
	}
	paused := queue.PausedAt != nil
	if paused && !known {
		s.config.logger.WarnContext(ctx, "riverbox: the queue is paused, by River's means; nothing is delivered until it is resumed", "queue", s.config.queue)
	}
	return paused
}

// watch looks after the database until ctx ends, and returns why a relay cannot go
// on. It calls start, and looks at the tables, again and again.
func (s *Sender) watch(ctx context.Context, start func() error) error {
	var warned time.Time
	hidden := false
	for {
		hides := hidden
		err := start()
		if err == nil {
			hides, err = s.look(ctx)
		}
		if hides && !hidden {
			s.warnHidden(ctx)
		}
		hidden = hides
		switch {
		case ctx.Err() != nil:
			return nil
		case isFinal(err) || errors.Is(err, errOtherJobs):
			return fmt.Errorf("riverbox: the relay cannot go on: %w", err)
		case err != nil && (warned.IsZero() || time.Since(warned) >= warnEvery):
			warned = time.Now()
			s.config.logger.WarnContext(ctx, "riverbox: the relay does not reach the database", "reason", explained(err).Error())
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
		}
	}
}

// look looks whether the tables are there, and whether jobs may be hidden.
func (s *Sender) look(ctx context.Context) (hides bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	return s.check(ctx)
}
