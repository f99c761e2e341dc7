package kissmetrics

import (
	"context"
	"fmt"
)

// Flush waits until every record that was accepted before it has got its
// outcome: delivered, refused or dropped. If the next sender has a Flush method,
// it is called then. The error is that of ctx, of the next sender's Flush, or the
// [*UndeliveredError] of a Close that gave up.
func (q *Queue) Flush(ctx context.Context) error {
	ctx = orBackground(ctx)
	q.mu.Lock()
	if last := q.marks[len(q.marks)-1]; last.pending > 0 {
		q.marks = append(q.marks, &mark{done: make(chan struct{})})
	}
	marks := append([]*mark(nil), q.marks[:len(q.marks)-1]...)
	q.mu.Unlock()
	for _, m := range marks {
		select {
		case <-m.done:
		case <-ctx.Done():
			return fmt.Errorf("kissmetrics: flush: %w", ctx.Err())
		}
	}
	q.mu.Lock()
	err := q.err
	q.mu.Unlock()
	if err != nil {
		return err
	}
	return flush(ctx, q.next)
}

// flush calls the Flush method of a sender that has one.
func flush(ctx context.Context, sender Sender) error {
	if flusher, ok := sender.(Flusher); ok {
		return flusher.Flush(ctx)
	}
	return nil
}

// settled notes that a message has got its outcome, and that it was reported.
func (q *Queue) settled(m *queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m.mark.pending--
	for i, mark := range q.marks[:len(q.marks)-1] {
		if mark == m.mark && mark.pending == 0 {
			close(mark.done)
			q.marks = append(q.marks[:i:i], q.marks[i+1:]...)
			return
		}
	}
}

// Close makes every later Send return [ErrClosed], and goes on delivering, and
// trying again, until nothing is left or ctx ends. Then it cancels what is under
// way, waits for that, and returns an [*UndeliveredError] that holds what was not
// delivered. A [Doer] or Sender that does not heed its context holds it up.
//
// Close may be called several times, and by many goroutines: the first context
// that ends ends the trying, and all calls return the same.
func (q *Queue) Close(ctx context.Context) error {
	ctx = orBackground(ctx)
	q.mu.Lock()
	q.closed = true
	for q.waiters.Len() > 0 {
		w := q.waiters.Remove(q.waiters.Front()).(*waiter)
		w.err = ErrClosed
		close(w.decided)
	}
	q.checkDrained()
	q.mu.Unlock()
	select {
	case <-q.exited:
	case <-ctx.Done():
		q.mu.Lock()
		if !q.stopped {
			q.stopped, q.cause = true, context.Cause(ctx)
		}
		q.work.Broadcast()
		q.mu.Unlock()
		q.stop()
		<-q.exited
	}
	q.finish.Do(q.handBack)
	if q.err != nil { // nobody changes it any more
		return q.err
	}
	return flush(ctx, q.next)
}

// handBack turns what is left, when the workers have ended, into an error.
func (q *Queue) handBack() {
	q.stop()
	var left []*queued
	q.mu.Lock()
	undelivered := &UndeliveredError{Err: q.cause}
	for q.first != nil {
		m := q.pop()
		left = append(left, m)
		undelivered.Records = append(undelivered.Records, unpack(m.data, nil)...)
		q.stats.Dropped += int64(m.records)
		q.release(m.records, m.bytes())
	}
	if len(left) > 0 {
		q.err = undelivered
	}
	q.mu.Unlock()
	for _, m := range left {
		q.report(m, unpack(m.data, nil), ErrClosed)
		q.settled(m)
	}
	q.logLosses(ErrClosed.Error(), len(undelivered.Records), true)
}
