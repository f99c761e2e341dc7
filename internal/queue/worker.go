package queue

import (
	"context"
	"time"
)

const (
	// keptIdle is how many workers stay when there is nothing to do.
	keptIdle = 4
	// longestLinger is for how long a failure is not noted, at most.
	longestLinger = time.Second
)

// A worker delivers one message after another.
type worker struct {
	e       *Engine
	courier Courier
	ctx     context.Context //nolint:containedctx // what derives from it is cancelled when the queue stops
	began   time.Time       // the delivery that is under way
	message *Message        // under way, and not accounted for
	comes   bool            // it is counted among the coming
	prober  bool            // the one that tries again when deliveries fail
	holds   bool            // a place of the limiter, from one delivery until it is ready for the next
	behind  bool            // nobody waits for it any more, and its message is another's
}

// wake has one more worker look for work, if there is work that it may do.
func (e *Engine) wake() {
	switch {
	case e.lines.next(false) == nil || e.stopped || e.pacing || e.limiter.Free() == 0:
	case e.gate.paused, !e.lines.hasFresh() && !e.gate.admits(false, true):
		e.wakeAll() // the prober may be among them
	case e.limiter.Free() <= e.coming:
	case e.idle > 0:
		e.idle--
		e.coming++
		e.work.Signal()
	default:
		e.coming++
		e.start(&worker{e: e, comes: true}, 0)
	}
}

// wakeAll has all idle workers look for work.
func (e *Engine) wakeAll() {
	e.coming += e.idle
	e.idle = 0
	e.work.Broadcast()
}

// start starts a worker, which waits first.
func (e *Engine) start(w *worker, wait time.Duration) {
	e.workers[w] = struct{}{}
	go e.run(w, wait)
}

// run is the goroutine of a worker, which waits first.
func (e *Engine) run(w *worker, wait time.Duration) {
	ctx, cancel := context.WithCancel(e.stopping)
	defer cancel()
	w.ctx = ctx
	defer w.leave() // also by a runtime.Goexit in code that is not ours, such as a FailNow
	w.courier = e.config.NewCourier()
	for w.nap(wait); w.take(); w.nap(wait) {
		wait = w.deliver()
	}
	w.prober = false // there is nothing to try, or it must not be tried any more
}

// leave undoes what a worker has begun and not ended, when its goroutine ends.
func (w *worker) leave() {
	e := w.e
	e.mu.Lock()
	w.arrive()
	w.giveBack()
	what := unchanged
	if w.message != nil && !w.behind {
		what = w.bequeath()
	}
	if w.prober {
		e.gate.resigned()
	}
	failures := e.gate.failures
	delete(e.workers, w)
	e.wake()
	e.checkDrained()
	e.mu.Unlock()
	if what == shut {
		e.config.Outage(failures, ErrEnded)
	}
}

// bequeath puts back the message whose delivery has ended this goroutine, which is
// a failure, and has another worker wait in place of this one.
func (w *worker) bequeath() change {
	e := w.e
	wait, what := w.failed(time.Now(), w.message, Result{})
	e.lines.push(w.message)
	if w.prober {
		w.prober = false
		e.start(&worker{e: e, prober: true}, wait)
	}
	return what
}

// arrive notes that a worker that was started looks for work itself now.
func (w *worker) arrive() {
	if w.comes {
		w.comes = false
		w.e.coming--
	}
}

// giveBack gives its place back to the limiter.
func (w *worker) giveBack() {
	if w.holds {
		w.holds = false
		w.e.limiter.Leave()
	}
}

// take waits for a message to deliver, and reports whether there is one.
func (w *worker) take() bool {
	e := w.e
	e.mu.Lock()
	defer e.mu.Unlock()
	w.arrive()
	w.giveBack()
	frees := true // this worker has just made it possible for another one to go on
	for !e.stopped && (!e.closed || e.stats.Waiting > 0) {
		m := e.lines.next(e.gate.prefersFresh(w.prober))
		if m == nil && w.prober { // the others have what there was
			w.prober = false
			e.gate.resigned()
		}
		if m != nil && e.gate.admits(w.prober, m.failed) {
			now := time.Now()
			wait, ok := e.limiter.Enter(now, m.Records())
			if ok {
				e.lines.remove(m)
				w.message, w.began, w.holds = m, now, true
				w.prober = e.gate.begins(w.prober, m.failed)
				e.wake()
				return true
			}
			if wait > 0 && !e.pacing {
				w.pace(wait)
				frees = true
				continue
			}
		}
		if frees {
			frees = false
			e.wake()
		}
		if e.idle >= keptIdle && !w.prober {
			return false
		}
		e.idle++
		e.work.Wait() // whoever wakes it counts it among the coming
		e.coming--
	}
	return false
}

// pace waits until the limiter admits the next delivery.
func (w *worker) pace(wait time.Duration) {
	e := w.e
	e.pacing = true
	e.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-w.ctx.Done():
	}
	e.mu.Lock()
	e.pacing = false
}

// deliver sends the message that was taken, and says how long to wait before the
// next.
func (w *worker) deliver() (wait time.Duration) {
	e, m := w.e, w.message
	ctx := w.ctx
	if m.kept != nil {
		ctx = detached{w.ctx, *m.kept}
	}
	result := w.courier.Deliver(ctx, m, e.age(m))
	done := result.Delivered + result.Failed
	settled := done == m.Records()
	if !settled && !result.Throttled {
		w.linger()
	}

	e.mu.Lock()
	now := time.Now() // read with the lock: what begins later knows of this answer
	if w.behind {
		e.mu.Unlock()
		return 0
	}
	e.stats.Delivered += int64(result.Delivered)
	e.stats.Failed += int64(result.Failed)
	w.message = nil
	var old []*Message
	var what change
	if settled {
		e.limiter.Succeeded(w.began, now, done)
		what = e.gate.succeeded(w.prober, m.failed)
		w.prober = false
		e.release(m.Records(), m.bytes())
	} else {
		wait, what = w.failed(now, m, result)
		old = w.putBack(m, result)
	}
	since, failures := e.gate.since, e.gate.failures
	e.wake()
	e.mu.Unlock()

	switch what {
	case shut:
		e.config.Outage(failures, result.Err)
	case opened:
		e.config.Recovered(now.Sub(since))
	case unchanged:
	}
	defer e.lose(old, TooOld, result.Err) // even if the report ends this goroutine
	w.report(m, settled)
	return wait
}

// linger waits until an answer would have come. A failure is noted no sooner, or else
// those that come at once, as where a connection is refused, would outnumber the answers
// that are under way, however few they are among all.
func (w *worker) linger() {
	e := w.e
	e.mu.Lock()
	wait := min(e.limiter.took, longestLinger) - time.Since(w.began)
	e.mu.Unlock()
	if wait <= 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-w.ctx.Done():
	}
}

// report has the courier report the outcomes, and notes that the message has its
// own.
func (w *worker) report(m *Message, settled bool) {
	if settled {
		defer w.e.settled(m)
	}
	w.courier.Report(m)
}

// failed notes that a delivery failed, and says how long this worker waits, where
// it is the one that tries again.
func (w *worker) failed(now time.Time, m *Message, result Result) (wait time.Duration, what change) {
	e := w.e
	again := m.failed
	m.failed = true
	e.lines.failure()
	switch {
	case e.stopped: // it was cancelled
		return 0, unchanged
	case e.gate.blames(again): // as of a firewall that dislikes a value
	case result.Overloaded:
		e.limiter.Overloaded(w.began, now, result.Delivered+result.Failed, result.RetryAfter)
	case result.Throttled:
		e.limiter.Throttled(w.began, now, result.Delivered+result.Failed, result.RetryAfter)
	default:
		e.limiter.Failed(w.began, now)
	}
	paused := e.gate.paused
	w.prober, wait, what = e.gate.failed(now, w.prober, again, e.limiter.under, result.RetryAfter)
	if e.gate.paused && !paused && !result.Throttled {
		e.limiter.Stopped(now)
	}
	return wait, what
}

// putBack puts what is left of a message at the end of the queue. It returns the
// messages that are given up instead: this one if it is too old, and in an outage
// all that are.
func (w *worker) putBack(m *Message, result Result) (old []*Message) {
	e := w.e
	if done := result.Delivered + result.Failed; done > 0 {
		before := m.bytes()
		m.payload, m.records = result.Rest, m.records-int32(done) //nolint:gosec // it is less
		e.release(done, before-m.bytes())
	}
	if e.gate.paused && !e.stopped {
		e.lines.push(m)
		old = e.popOld()
	} else if e.isOld(m) && !e.stopped {
		old = []*Message{m}
	} else {
		e.lines.push(m)
	}
	for _, m := range old {
		e.stats.Failed += int64(m.records)
		e.release(m.Records(), m.bytes())
	}
	return old
}

// nap waits before trying again, until there is nothing more to try. Closing the
// queue ends it once, or at the moment that the server asked for.
func (w *worker) nap(wait time.Duration) {
	if wait == 0 {
		return
	}
	e := w.e
	e.mu.Lock()
	closing := e.closing
	if e.closed {
		closing = nil
	}
	e.mu.Unlock()
	for ended := false; wait > 0 && !ended; {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-closing:
			closing = nil
		case <-e.drained:
			ended = true
		case <-w.ctx.Done():
			ended = true
		}
		timer.Stop()
		e.mu.Lock()
		wait = e.gate.ahead(time.Now()) // another worker may have been told to wait longer
		e.mu.Unlock()
	}
}

// detached is a context that ends with the queue, and has the kept values.
type detached struct {
	context.Context // of a worker

	values context.Context
}

// Value looks at the worker's own context first, which has nothing but what tells
// package context how to cancel what is derived from this one.
func (d detached) Value(key any) any {
	if v := d.Context.Value(key); v != nil {
		return v
	}
	return d.values.Value(key)
}
