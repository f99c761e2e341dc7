// Package limit finds out how many deliveries to have under way at once, for
// programs that store records and relay them to a [kissmetrics.Sender]. A
// [kissmetrics.Queue] needs no Limiter, for it has its own by the same rule.
//
// The tracking API takes one record a request. So what can be delivered in a
// second depends on how many requests are under way: with answers that take 50
// milliseconds, 8 at once are 160 records a second, and 256 at once are 5,000. A
// [Limiter] begins with 8. It doubles that as long as answers take no longer for
// it. When they take twice as long, or when deliveries fail, it tries half as many, and
// keeps to that where answers are faster or fewer fail: not where a machine stands
// still now and then, nor behind a load balancer that has lost one of several servers.
// A server that refuses what comes too fast (429, or any failure with a
// Retry-After) is sent a little less than it took in a second, then slowly more. One
// that is overloaded (503 with a Retry-After) gets fewer at once instead.
//
//	for records := range waiting {
//		release, err := limiter.Acquire(ctx, records)
//		if err != nil {
//			return err // ctx has ended
//		}
//		group.Go(func() {
//			err := next.Send(ctx, records)
//			release(err)
//			// … delete the records, or keep them: see kissmetrics.Settle
//		})
//	}
//
// What a Limiter does not do is wait out a Retry-After, nor try anything again:
// that is left to the program that has the records.
package limit

import (
	"context"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/queue"
)

// A Limiter says when the next delivery may begin. It is safe for concurrent use,
// has no goroutine, and need not be closed. One Limiter serves one server.
type Limiter struct {
	turn  chan struct{} // held by the one that asks next
	freed chan struct{} // a place has been given back

	mu   sync.Mutex
	rule *queue.Limiter
}

// New returns a Limiter that never has more than ceiling deliveries under way. A
// ceiling below 1 is 1.
func New(ceiling int) *Limiter {
	return &Limiter{turn: make(chan struct{}, 1), freed: make(chan struct{}, 1), rule: queue.NewLimiter(max(1, ceiling))}
}

// Limit returns how many deliveries may be under way now. It is of use for reading
// about as much as can be sent.
func (l *Limiter) Limit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rule.Limit()
}

// Acquire waits until the records of one more message may be delivered, and
// returns a function that must be called once with the error of their Send. The
// function does not wait, and calling it again has no effect. A failure after ctx
// has ended says nothing about the server. Callers of Acquire get their turns in
// the order in which they came. The error is that of ctx.
func (l *Limiter) Acquire(ctx context.Context, records []kissmetrics.Record) (release func(err error), err error) {
	ctx = nilness.Context(ctx)
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.turn }()
	for {
		l.mu.Lock()
		now := time.Now() // read with the lock: the rule goes by what was before what
		wait, ok := l.rule.Enter(now, len(records))
		l.mu.Unlock()
		if ok {
			var once sync.Once
			return func(err error) { once.Do(func() { l.release(ctx, now, records, err) }) }, nil
		}
		if err := l.wait(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// wait waits for so long, or else until a place is given back.
func (l *Limiter) wait(ctx context.Context, wait time.Duration) error {
	if wait > 0 {
		select {
		case <-time.After(wait):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-l.freed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives the place of a delivery back, and learns from its outcome.
func (l *Limiter) release(ctx context.Context, began time.Time, records []kissmetrics.Record, err error) {
	outcome := kissmetrics.Settle(records, err)
	done := len(records) - len(outcome.Undelivered)
	l.mu.Lock()
	now := time.Now()
	switch {
	case done < len(records) && ctx.Err() != nil: // that is not the server's fault
	case outcome.Overloaded:
		l.rule.Overloaded(began, now, done, outcome.RetryAfter)
	case outcome.Throttled:
		l.rule.Throttled(began, now, done, outcome.RetryAfter)
	case done < len(records):
		l.rule.Failed(began, now)
	default:
		l.rule.Succeeded(began, now, done)
	}
	l.rule.Leave()
	l.mu.Unlock()
	select {
	case l.freed <- struct{}{}:
	default:
	}
}
