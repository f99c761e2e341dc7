package queue

// Marks know when all messages that were accepted before a moment have got their
// outcome. A Flush and an outcome cost the same however many calls of Flush wait:
// the messages between two of those calls share one mark, and a mark is done when
// it and all marks before it have no messages left.
type marks struct {
	oldest *mark // that is not done
	newest *mark // of the messages to come
	before *mark // the one before newest
}

// A mark counts the messages accepted between two calls of Flush.
type mark struct {
	pending int
	next    *mark
	done    chan struct{}
}

func newMarks() marks {
	done := &mark{done: make(chan struct{})}
	close(done.done)
	m := &mark{done: make(chan struct{})}
	return marks{oldest: m, newest: m, before: done}
}

// accepted returns the mark of one more message.
func (s *marks) accepted() *mark {
	s.newest.pending++
	return s.newest
}

// flush returns a channel that is closed when all messages accepted so far are
// settled.
func (s *marks) flush() <-chan struct{} {
	if s.newest.pending > 0 {
		s.newest.next = &mark{done: make(chan struct{})}
		s.before, s.newest = s.newest, s.newest.next
	}
	return s.before.done
}

// settled notes that a message of a mark has got its outcome.
func (s *marks) settled(m *mark) {
	m.pending--
	for s.oldest != s.newest && s.oldest.pending == 0 {
		close(s.oldest.done)
		s.oldest = s.oldest.next
	}
}
