package collect

import "sync"

// rememberedMessages is how many accepted messages are remembered at least; it
// takes about 24 MB to remember twice as many, which is the most.
const rememberedMessages = 1 << 18

// A memory knows the messages that were accepted last, and those under way.
type memory struct {
	size int // of a generation

	mu       sync.Mutex
	recent   map[identity]struct{}
	older    map[identity]struct{} // forgotten when recent is full
	underWay map[identity]struct{}
}

func newMemory(size int) *memory {
	return &memory{size: size, recent: map[identity]struct{}{}, underWay: map[identity]struct{}{}}
}

// A state is what a memory knows of a message.
type state int

const (
	unknown state = iota // it is under way from now on
	accepted
	underWay
)

// begin notes that a message is under way, where it is unknown.
func (m *memory) begin(id identity) state {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.recent[id]; ok {
		return accepted
	}
	if _, ok := m.older[id]; ok {
		return accepted
	}
	if _, ok := m.underWay[id]; ok {
		return underWay
	}
	m.underWay[id] = struct{}{}
	return unknown
}

// end notes what became of a message that was under way.
func (m *memory) end(id identity, wasAccepted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.underWay, id)
	if !wasAccepted {
		return
	}
	if len(m.recent) >= m.size {
		m.recent, m.older = map[identity]struct{}{}, m.recent
	}
	m.recent[id] = struct{}{}
}
