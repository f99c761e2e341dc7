package kissmetrics

import (
	"context"
	"time"
)

// detached is a context that ends with the queue, and has the values of the
// caller's.
type detached struct {
	context.Context // of a worker

	values context.Context
}

// Value looks at the worker's own context first, which has nothing but what
// tells package context how to cancel what is derived from this one.
func (d detached) Value(key any) any {
	if v := d.Context.Value(key); v != nil {
		return v
	}
	return d.values.Value(key)
}

// A worker delivers one message after another.
type worker struct {
	q         *Queue
	ctx       context.Context //nolint:containedctx // what derives from it is cancelled when the queue stops
	message   *queued         // under way, and not accounted for
	reporting *queued         // accounted for, and being reported
	prober    bool            // the one that tries again when deliveries fail
	room      *room           // of the records under way, where q.lends
}

func (q *Queue) run() {
	ctx, cancel := context.WithCancel(q.stopping)
	defer cancel()
	w := &worker{q: q, ctx: ctx}
	if q.lends {
		w.room = new(room)
	}
	ended := false
	defer func() {
		if !ended { // by a runtime.Goexit in code that is not ours, such as a FailNow
			w.replace()
		}
	}()
	for w.take() {
		nap := w.deliver()
		if nap > 0 {
			w.sleep(nap)
		}
	}
	ended = true
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.workers--; q.workers == 0 {
		close(q.exited)
	}
}

// replace starts a worker in the place of this one, whose goroutine is ending.
func (w *worker) replace() {
	q := w.q
	q.mu.Lock()
	if w.prober {
		q.prober, q.paused = false, false
	}
	if w.message != nil {
		q.push(w.message)
	}
	q.work.Broadcast()
	q.mu.Unlock()
	if w.reporting != nil {
		q.settled(w.reporting)
	}
	go q.run()
}

// take waits for a message to deliver, and reports whether there will be one.
func (w *worker) take() bool {
	q := w.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.stopped || q.closed && q.stats.Waiting == 0:
			return false
		case q.first != nil && (w.prober || !q.paused):
			w.message = q.pop()
			return true
		case w.prober: // the others have what there was
			w.prober, q.prober, q.paused = false, false, false
			q.work.Broadcast()
		}
		q.work.Wait()
	}
}

// deliver sends the message that was taken, and says how long to wait before
// the next.
func (w *worker) deliver() (nap time.Duration) {
	q, m := w.q, w.message
	records := unpack(m.data, w.room)
	err := q.sendGuarded(detached{w.ctx, m.ctx}, records)
	outcome := Settle(records, err)
	done, failed, left := outcome.Delivered, outcome.Refused, outcome.Undelivered

	q.mu.Lock()
	bytes := m.bytes()
	q.stats.Delivered += int64(len(done))
	q.stats.Failed += int64(len(failed))
	w.message = nil
	var change string
	if len(left) == 0 {
		w.reporting = m
		q.release(m.records, bytes)
		change = w.succeeded()
	} else {
		if len(left) < m.records {
			m.data, m.records = pack(left), len(left)
			q.release(len(records)-len(left), bytes-m.bytes())
		}
		q.push(m)
		if !q.stopped {
			nap, change = w.failed(outcome.RetryAfter)
		}
		q.work.Signal()
	}
	since, failures := q.since, q.failures
	q.mu.Unlock()

	switch change {
	case "outage":
		q.config.logger.WarnContext(w.ctx, "kissmetrics: deliveries fail; the queue holds back", "failures", failures, "reason", outcome.Reason)
	case "recovery":
		q.config.logger.InfoContext(w.ctx, "kissmetrics: deliveries succeed again", "after", time.Since(since))
	}
	q.lost(outcome.Reason, len(failed))
	q.report(m, done, nil)
	q.report(m, failed, err)
	if len(left) == 0 {
		q.settled(m)
		w.reporting = nil
	}
	if w.room != nil {
		*w.room = room{} // its texts are parts of the message
	}
	return nap
}

// sendGuarded hands records to the next sender, whose panic is an error.
func (q *Queue) sendGuarded(ctx context.Context, records []Record) (err error) {
	defer func() {
		if recover() != nil {
			err = ErrSenderPanicked
		}
	}()
	return q.send(ctx, records)
}

// succeeded notes that the next sender answered.
func (w *worker) succeeded() (change string) {
	q := w.q
	if q.paused && !w.prober {
		return "" // it was under way before
	}
	q.failures = 0
	q.schedule.Reset()
	if !w.prober {
		return ""
	}
	w.prober, q.prober = false, false
	if q.paused {
		q.paused = false
		q.work.Broadcast()
		return "recovery"
	}
	return ""
}

// failed notes that the next sender failed, and says how long this worker is to
// wait, where it is the one that tries again.
func (w *worker) failed(wish time.Duration) (nap time.Duration, change string) {
	q := w.q
	if until := time.Now().Add(wish); wish > 0 && until.After(q.notBefore) {
		q.notBefore = until
	}
	q.failures++
	if !q.paused && (q.failures >= outageAfter || wish > 0) {
		q.paused, q.since, change = true, time.Now(), "outage"
	}
	if q.prober && !w.prober {
		return 0, change
	}
	q.prober, w.prober = true, true
	return q.schedule.Next(wish, maxRetryAfter), change
}

// sleep waits before trying again, until there is nothing more to try.
func (w *worker) sleep(nap time.Duration) {
	q := w.q
	for nap > 0 {
		select {
		case <-time.After(nap):
		case <-w.ctx.Done():
			return
		case <-q.drained:
			return
		}
		q.mu.Lock()
		nap = time.Until(q.notBefore) // another worker may have been told to wait longer
		q.mu.Unlock()
	}
}
