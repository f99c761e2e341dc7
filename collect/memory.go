package collect

import (
	"sync"
	"time"
)

// rememberedMessages is how many messages are remembered at least; it takes about 32
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

// A sight is the first that was seen of a message.
type sight struct {
	at       int64 // the second that it got, in Unix time
	accepted bool
}

func newMemory(size int) *memory {
	return &memory{size: size, recent: map[identity]sight{}, underWay: map[identity]struct{}{}}
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
	case seen.accepted:
		return accepted, at
	case busy:
		return underWay, at
	case ok:
		at = time.Unix(seen.at, 0).UTC()
	default:
		m.note(id, sight{at: at.Unix()})
	}
	m.underWay[id] = struct{}{}
	return unknown, at
}

// end notes what became of a message that was under way.
func (m *memory) end(id identity, wasAccepted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.underWay, id)
	if seen, _ := m.find(id); wasAccepted {
		m.note(id, sight{at: seen.at, accepted: true})
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
	if _, ok := m.recent[id]; !ok && len(m.recent) >= m.size {
		m.recent, m.older = map[identity]sight{}, m.recent
	}
	m.recent[id] = seen
}
