package queue

import "iter"

// Lines are the messages to be delivered, but for those under way. Those that have
// failed stand in a line of their own, so that it costs nothing to pass over them,
// however many they are.
type lines struct {
	fresh, failed fifo
	turns         int64 // how many messages have joined a line
}

// A fifo is one line: first in, first out.
type fifo struct{ first, last *Message }

// push puts a message at the end of its line.
func (l *lines) push(m *Message) {
	l.turns++
	m.turn = l.turns
	l.of(m).push(m)
}

// next returns the message whose turn it is, or nil where there is none: the one
// that has stood in its line for longest. A fresh one comes first if it is preferred.
func (l *lines) next(preferFresh bool) *Message {
	fresh, failed := l.fresh.first, l.failed.first
	if failed == nil || fresh != nil && (preferFresh || fresh.turn < failed.turn) {
		return fresh
	}
	return failed
}

// remove removes a message that is the first of its line.
func (l *lines) remove(m *Message) { l.of(m).pop() }

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

func (l *lines) of(m *Message) *fifo {
	if m.failed {
		return &l.failed
	}
	return &l.fresh
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

// removeIf removes the messages of which remove is true, and returns them.
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
