package collect

import (
	"hash/maphash"
	"strings"
	"sync"
)

// rememberedPeople is how many anonymous identities are remembered at least.
const rememberedPeople = 1 << 16

// people knows to which person an anonymous identity was joined last. Its zero value
// knows none.
type people struct {
	mu     sync.Mutex
	seed   maphash.Seed
	recent map[uint64]uint64 // sums of anonymous identities, and of the person's
	older  map[uint64]uint64 // forgotten when recent is full
}

// isFirst reports whether no other person is known by the anonymous identity, and
// notes this one.
func (p *people) isFirst(source, anonymousID, userID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recent == nil {
		p.seed, p.recent = maphash.MakeSeed(), map[uint64]uint64{}
	}
	sum := func(id string) uint64 { return maphash.Comparable(p.seed, [2]string{source, strings.ToLower(id)}) }
	visitor, person := sum(anonymousID), sum(userID)
	known, ok := p.recent[visitor]
	if !ok {
		known, ok = p.older[visitor]
	}
	if ok {
		return known == person
	}
	if len(p.recent) >= rememberedPeople {
		p.recent, p.older = map[uint64]uint64{}, p.recent
	}
	p.recent[visitor] = person
	return true
}
