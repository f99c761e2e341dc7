package collect

import (
	"hash/maphash"
	"strings"
	"sync"

	"github.com/kissmetrics-go/kissmetrics"
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

// guardAlias leaves out the alias of an identify where another person was identified
// with the same anonymous identity before: it would make one person of two, for good.
// RudderStack's SDKs for browsers keep the anonymous identity when a visitor logs out
// and another one logs in.
func (h *Handler) guardAlias(source *Source, m *message) error {
	if !source.Transform.AliasOnIdentify || m.kind != "identify" || m.records[0].Kind != kissmetrics.KindAlias {
		return nil
	}
	if h.people.isFirst(source.Name, m.records[0].Person, m.records[0].Name) {
		return nil
	}
	if source.Transform.Strict {
		return errOthers
	}
	m.records = m.records[1:]
	m.adjustments = append(m.adjustments, kissmetrics.Adjustment{Field: "anonymousId", Kind: kissmetrics.AdjustedAlias})
	return nil
}

var errOthers = &kissmetrics.ValidationError{Field: "anonymousId", Reason: "was another person's before"}
