package queue

import (
	"iter"
	"slices"
)

// Lines are the messages to be delivered, but for those under way. Those that have
// failed stand in a line of their own, so that it costs nothing to pass over them,
// however many they are. Those that have not are fresh.
type lines struct {
	newest fifo // fresh ones that came since a delivery failed
	fresh  fifo // those that came before
	failed fifo
	turns  int64 // how many messages have joined a line
}

// A fifo is one line: first in, first out.
type fifo struct{ first, last *Message }

// push puts a message at the end of its line.
func (l *lines) push(m *Message) {
	l.turns++
	m.turn = l.turns
	if m.failed {
		l.failed.push(m)
	} else {
		l.newest.push(m)
	}
}

// next returns the message whose turn it is, or nil where there is none: the one
// that has stood in its line for longest. If fresh ones are preferred, they come
// first, and before all others the newest.
//
// Where deliveries fail, that tells more. What came with a message that failed may be
// of its kind, and fail for the same reasons, however many they are.
func (l *lines) next(preferFresh bool) *Message {
	fresh, failed := l.fresh.first, l.failed.first
	if fresh == nil || preferFresh && l.newest.first != nil {
		fresh = l.newest.first
	}
	if failed == nil || fresh != nil && (preferFresh || fresh.turn < failed.turn) {
		return fresh
	}
	return failed
}

// hasFresh reports whether there are fresh messages.
func (l *lines) hasFresh() bool { return l.fresh.first != nil || l.newest.first != nil }

// remove removes a message that next has returned.
func (l *lines) remove(m *Message) { l.of(m).pop() }

// of returns the line whose first message is m.
func (l *lines) of(m *Message) *fifo {
	switch m {
	case l.fresh.first:
		return &l.fresh
	case l.failed.first:
		return &l.failed
	}
	return &l.newest
}

// failure notes that a delivery failed: what has come so far is not new any more.
func (l *lines) failure() {
	if l.newest.first == nil {
		return
	}
	if l.fresh.first == nil {
		l.fresh = l.newest
	} else {
		l.fresh.last.next, l.fresh.last = l.newest.first, l.newest.last
	}
	l.newest = fifo{}
}

// all returns the messages in the order of their turns. None may be removed
// meanwhile.
func (l *lines) all() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		at := *l
		for m := at.next(false); m != nil && yield(m); m = at.next(false) {
			at.of(m).first = m.next
		}
	}
}

// removeIf removes the messages of which remove is true, and returns them.
func (l *lines) removeIf(remove func(*Message) bool) []*Message {
	return slices.Concat(l.fresh.removeIf(remove), l.newest.removeIf(remove), l.failed.removeIf(remove))
}

func (l *fifo) push(m *Message) {
	if l.first == nil {
		l.first = m
	} else {
		l.last.next = m
	}
	l.last = m
}

func (l *fifo) pop() {
	m := l.first
	l.first, m.next = m.next, nil
}

func (l *fifo) removeIf(remove func(*Message) bool) (removed []*Message) {
	m := l.first
	for *l = (fifo{}); m != nil; {
		next := m.next
		m.next = nil
		if remove(m) {
			removed = append(removed, m)
		} else {
			l.push(m)
		}
		m = next
	}
	return removed
}
