package collect

import (
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	day     = 24 * time.Hour
	genesis = 2009 // the year in which Kissmetrics began
	// slack is by how much a clock may seem to be further ahead than it is, so that
	// an error of whole steps is still found to be one.
	slack = time.Minute
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
	if at.After(b.received) {
		at = b.received
	}
	return at, at.Year() >= genesis // or else the two times are of different clocks
}

// shift returns by how many seconds the time of a message is to be moved, which is a
// whole number of steps.
func (h *Handler) shift(b *batch, m *head) int64 {
	sent := m.sentAt
	if sent.IsZero() {
		sent = b.sentAt
	}
	if sent.IsZero() || m.at().IsZero() || m.id == "" || !m.original.IsZero() && !m.timestamp.IsZero() || h.config.clockStep == 0 {
		return 0 // a timestamp beside an originalTimestamp is one that the caller has set
	}
	by := steps(b.received.UnixMilli()-sent.UnixMilli(), h.config.clockStep)
	if by > 0 && sent.Year() >= genesis && !h.provesClock(b, m, by) {
		return 0
	}
	return by
}

// steps returns a difference of clocks, which is given in milliseconds, in whole steps,
// as seconds. It is rounded down, so that what is moved by it does not come to lie
// in the future; a clock that is ahead by less than half a step is believed.
func steps(behind int64, step time.Duration) int64 {
	size := step.Milliseconds()
	if -behind < size/2 && behind < 0 {
		return 0
	}
	behind += min(slack.Milliseconds(), size/2)
	n := behind / size
	if behind%size < 0 {
		n--
	}
	return n * int64(step/time.Second)
}

// provesClock reports whether a sentAt that lies before the receipt is proof of a clock
// that is behind, rather than of a batch that took long to come. One that lies after it
// always is proof of one that is ahead.
func (h *Handler) provesClock(b *batch, m *head, seconds int64) bool {
	kind := b.library(m.context)
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

// happenedAt returns a message with another time.
func happenedAt(parsed kissmetrics.Message, at time.Time) kissmetrics.Message {
	switch m := parsed.(type) {
	case kissmetrics.Identify:
		m.Timestamp = at
		return m
	case kissmetrics.Page:
		m.Timestamp = at
		return m
	case kissmetrics.Screen:
		m.Timestamp = at
		return m
	case kissmetrics.Track:
		m.Timestamp = at
		return m
	case kissmetrics.Group:
		m.Timestamp = at
		return m
	case kissmetrics.Alias:
		m.Timestamp = at
		return m
	}
	return parsed
}
