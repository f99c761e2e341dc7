// Package people remembers which person an identity belongs to, so that no alias
// makes one person of two.
package people

import (
	"hash/maphash"
	"sync"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// Remembered is how many identities are remembered at least.
const Remembered = 1 << 16

// A Memory knows to which person an identity belongs. Its zero value knows none. It
// is safe for concurrent use.
type Memory struct {
	mu     sync.Mutex
	seed   maphash.Seed
	recent map[uint64]uint64 // sums of identities, and of the person's
	older  map[uint64]uint64 // forgotten when recent is full
}

// IsFirst reports whether no other person than userID is known by the anonymous
// identity, and notes that this one is. The userID is noted as an identity of its
// own: it is named, and nobody else's anonymous one. Sources have people of their
// own.
func (m *Memory) IsFirst(source, anonymousID, userID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recent == nil {
		m.seed, m.recent = maphash.MakeSeed(), map[uint64]uint64{}
	}
	sum := func(id string) uint64 {
		return maphash.Comparable(m.seed, [2]string{source, name.FoldIdentity(id)})
	}
	visitor, person := sum(anonymousID), sum(userID)
	if known, ok := m.find(visitor); ok && known != person {
		return false
	}
	m.note(visitor, person)
	m.note(person, person)
	return true
}

func (m *Memory) find(identity uint64) (person uint64, ok bool) {
	if person, ok = m.recent[identity]; !ok {
		person, ok = m.older[identity]
	}
	return person, ok
}

// note notes whose an identity is, unless that is known.
func (m *Memory) note(identity, person uint64) {
	if _, ok := m.find(identity); ok {
		return
	}
	if len(m.recent) >= Remembered {
		m.recent, m.older = map[uint64]uint64{}, m.recent
	}
	m.recent[identity] = person
}
