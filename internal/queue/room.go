package queue

import (
	"container/list"
	"context"
	"errors"
	"time"
)

// A waiter is a message that waits for room.
type waiter struct {
	message *Message
	decided chan struct{} // closed when it is accepted, or refused with err
	err     error
}

// Accept takes a message, or returns [ErrFull] (joined with the error of ctx,
// where that ended while the message waited for room) or [ErrClosed]. Messages
// that wait for room get it in the order in which they came.
func (e *Engine) Accept(ctx context.Context, m *Message) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	if e.waiters.Len() == 0 && e.fits(m) {
		e.enqueue(m)
		e.mu.Unlock()
		return nil
	}
	if m.Records() > e.config.MaxRecords || m.bytes() > e.config.MaxBytes {
		e.mu.Unlock()
		return ErrFull // and always will be
	}
	switch e.config.Full {
	case Wait:
		w := &waiter{message: m, decided: make(chan struct{})}
		at := e.waiters.PushBack(w)
		e.mu.Unlock()
		return e.waitForRoom(ctx, w, at)
	case DropOldest:
		dropped, ok := e.makeRoom(m)
		if ok {
			e.enqueue(m)
		}
		e.mu.Unlock()
		e.lose(dropped, Dropped, ErrFull)
		if ok {
			return nil
		}
		return ErrFull
	default:
		e.mu.Unlock()
		return ErrFull
	}
}

// waitForRoom waits until a message is accepted, or ctx ends.
func (e *Engine) waitForRoom(ctx context.Context, w *waiter, at *list.Element) error {
	select {
	case <-w.decided:
		return w.err
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-w.decided: // just now
		return w.err
	default:
		e.waiters.Remove(at)
		e.admitWaiters() // a smaller one behind it may fit
		return errors.Join(ErrFull, ctx.Err())
	}
}

// admitWaiters accepts those who wait, as far as there is room.
func (e *Engine) admitWaiters() {
	for at := e.waiters.Front(); at != nil && e.fits(at.Value.(*waiter).message); at = e.waiters.Front() {
		w := e.waiters.Remove(at).(*waiter)
		e.enqueue(w.message)
		close(w.decided)
	}
}

// refuseWaiters ends the waiting for room.
func (e *Engine) refuseWaiters() {
	for e.waiters.Len() > 0 {
		w := e.waiters.Remove(e.waiters.Front()).(*waiter)
		w.err = ErrClosed
		close(w.decided)
	}
}

// fits reports whether there is room for a message.
func (e *Engine) fits(m *Message) bool {
	return e.stats.Waiting+int64(m.records) <= int64(e.config.MaxRecords) &&
		e.stats.WaitingBytes+int64(m.bytes()) <= int64(e.config.MaxBytes)
}

// makeRoom drops the oldest messages until there is room for m. It drops none
// where what is under way, which cannot be dropped, leaves too little.
func (e *Engine) makeRoom(m *Message) (dropped []*Message, ok bool) {
	records := e.stats.Waiting + int64(m.records) - int64(e.config.MaxRecords)
	bytes := e.stats.WaitingBytes + int64(m.bytes()) - int64(e.config.MaxBytes)
	for m := range e.lines.all() {
		if records <= 0 && bytes <= 0 {
			break
		}
		records -= int64(m.records)
		bytes -= int64(m.bytes())
		dropped = append(dropped, m)
	}
	if records > 0 || bytes > 0 {
		return nil, false
	}
	for _, m := range dropped {
		e.lines.remove(m)
		e.stats.Dropped += int64(m.records)
		e.release(m.Records(), m.bytes())
	}
	return dropped, true
}

// lose reports messages that are lost, and have been counted.
func (e *Engine) lose(lost []*Message, why Reason, err error) {
	defer func() { // also where the caller's code ends its goroutine
		for _, m := range lost {
			e.settled(m)
		}
	}()
	for _, m := range lost {
		e.config.Lost(m, why, err)
	}
}

// enqueue accepts a message for which there is room.
func (e *Engine) enqueue(m *Message) {
	m.accepted = time.Since(e.began)
	m.mark = e.marks.accepted()
	e.stats.Accepted += int64(m.records)
	e.stats.Waiting += int64(m.records)
	e.stats.WaitingBytes += int64(m.bytes())
	e.lines.push(m)
	e.wake()
}

// release gives back the room of records that have got their outcome.
func (e *Engine) release(records, bytes int) {
	e.stats.Waiting -= int64(records)
	e.stats.WaitingBytes -= int64(bytes)
	e.admitWaiters()
	e.checkDrained()
}

// popOld removes the messages that have waited too long.
func (e *Engine) popOld() []*Message {
	if e.config.MaxAge == 0 { // there may be many
		return nil
	}
	return e.lines.removeIf(e.isOld)
}

func (e *Engine) isOld(m *Message) bool {
	return e.config.MaxAge > 0 && e.age(m) >= e.config.MaxAge
}

// age returns how long a message has been in the queue.
func (e *Engine) age(m *Message) time.Duration { return time.Since(e.began) - m.accepted }
