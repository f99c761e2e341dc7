package collect

import "time"

const (
	day     = 24 * time.Hour
	genesis = 2009 // the year in which Kissmetrics began
	// slack is by how much a clock may be further ahead than by whole steps, and still
	// count as one that is off by these.
	slack = time.Minute
	// jitter is by how much it may seem to be so from one try to the next.
	jitter = time.Second
)

// corrected returns when a message happened by the clock of this machine, where that of
// its device is wrong.
func (h *Handler) corrected(b *batch, m *head) (at time.Time, ok bool) {
	by := h.shift(b, m)
	if by == 0 {
		return at, false
	}
	// The difference may be one of centuries, which no Duration can hold.
	own := m.at()
	at = time.Unix(own.Unix()+by, int64(own.Nanosecond())).UTC()
	if at.After(b.received.Add(jitter)) { // it says that it happens after it was sent
		at = b.received
	}
	return at, at.Year() >= genesis // or else the two times are of different clocks
}

// shift returns by how many seconds the time of a message is to be moved, or 0.
func (h *Handler) shift(b *batch, m *head) int64 {
	sent := m.sentAt
	if sent.IsZero() {
		sent = b.sentAt
	}
	if sent.IsZero() || m.at().IsZero() || m.id == "" || !m.original.IsZero() && !m.timestamp.IsZero() || h.config.clockStep == 0 {
		return 0 // a timestamp beside an originalTimestamp is one that the caller has set
	}
	by := correction(b.received.UnixMilli()-sent.UnixMilli(), h.config.clockStep)
	if by > 0 && sent.Year() >= genesis && !h.provesClock(b, m, by) {
		return 0
	}
	return by
}

// correction returns by how many seconds a clock is to be put right that is behind by so
// many milliseconds. It is rounded down to whole steps, so that what is moved by it does
// not come to lie in the future: that would have to be moved to the receipt, which is
// another second at each try. A clock that is ahead by less than half a step is believed.
func correction(behind int64, step time.Duration) int64 {
	size := step.Milliseconds()
	if -behind < size/2 && behind < 0 {
		return 0
	}
	allowed := min(slack, step/2).Milliseconds()
	n, rest := (behind+allowed)/size, (behind+allowed)%size
	if rest < 0 {
		n, rest = n-1, rest+size
	}
	by := n * int64(step/time.Second)
	if by != 0 && allowed-rest > jitter.Milliseconds() { // it is ahead, beside whole steps
		by -= (allowed + 999) / 1000
	}
	return by
}

// provesClock reports whether a sentAt that lies before the receipt is proof of a clock
// that is behind, rather than of a batch that took long to come. One that lies after it
// always is proof of one that is ahead.
func (h *Handler) provesClock(b *batch, m *head, seconds int64) bool {
	kind := b.library(m.fields.Context)
	if kind == sentAtUnknown {
		kind = b.library(b.context)
	}
	switch kind {
	case sentAtTry:
		return true
	case sentAtClosed:
		return false
	}
	perMessage := !m.sentAt.IsZero() && b.kind == "" // hence written when it was enqueued
	return !perMessage && !b.retry && seconds <= int64(day/time.Second)
}
