package collect

import (
	"math"
	"sync"
	"time"
)

// rememberedMessages is how many messages are remembered at least; it takes about 27
// MB to remember twice as many, which is the most.
const rememberedMessages = 1 << 18

// An identity tells messages apart: it is a sum of what makes a message the same at
// a repeat. It is zero for a message without a messageId.
type identity [16]byte

// A memory knows the messages that came last, which of them were accepted, and which
// are under way.
type memory struct {
	size int // of a generation

	mu       sync.Mutex
	recent   map[identity]sight
	older    map[identity]sight // forgotten when recent is full
	underWay map[identity]struct{}
}

// A sight is what is remembered of a message: done once it was accepted, and until then
// the second that it got when it was first seen, in Unix time.
type sight int64

const done sight = math.MinInt64 // no message has this second

func newMemory(size int) *memory {
	return &memory{size: size, recent: map[identity]sight{}, older: map[identity]sight{}, underWay: map[identity]struct{}{}}
}

// A state is what a memory knows of a message.
type state int

const (
	unknown state = iota // it is under way from now on
	accepted
	underWay
)

// begin notes that a message is under way, unless it was accepted or is under way
// already. It returns the second that the message got when it was first seen, which
// is the given one where that is now.
func (m *memory) begin(id identity, at time.Time) (state, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen, ok := m.find(id)
	switch _, busy := m.underWay[id]; {
	case seen == done:
		return accepted, at
	case busy:
		return underWay, at
	case ok:
		at = time.Unix(int64(seen), 0).UTC()
	default:
		m.note(id, sight(at.Unix()))
	}
	m.underWay[id] = struct{}{}
	return unknown, at
}

// end notes what became of a message that was under way.
func (m *memory) end(id identity, wasAccepted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.underWay, id)
	if wasAccepted {
		m.note(id, done)
	}
}

func (m *memory) find(id identity) (sight, bool) {
	if seen, ok := m.recent[id]; ok {
		return seen, true
	}
	seen, ok := m.older[id]
	return seen, ok
}

func (m *memory) note(id identity, seen sight) {
	if len(m.recent) >= m.size {
		if _, ok := m.recent[id]; !ok {
			m.recent, m.older = m.older, m.recent
			clear(m.recent)
		}
	}
	m.recent[id] = seen
}
