package flatten

// A Pair is one name and one text.
type Pair struct {
	Name  string // as it is sent
	Value string
	Class Class

	prefix   uint16 // the bytes of Name that Given has not
	depth    uint8  // levels of nesting; that of a literal name is 1
	nameCut  bool
	valueCut bool
}

// Given returns the name as the caller knows it, without a prefix.
func (p *Pair) Given() string { return p.Name[p.prefix:] }

// IsNested reports whether a pair is a member of another.
func (p *Pair) IsNested() bool { return p.depth > 1 }

// pairs is a list of pairs. The first stand in an array, which spares most
// messages an allocation.
type pairs struct {
	few   [16]Pair
	more  []Pair
	count int
}

// at returns one of the pairs.
func (l *pairs) at(i int) *Pair {
	if i < len(l.few) {
		return &l.few[i]
	}
	return &l.more[i-len(l.few)]
}

// add returns a new pair, which is empty.
func (l *pairs) add() *Pair {
	if l.count < len(l.few) {
		l.few[l.count] = Pair{}
	} else {
		l.more = append(l.more, Pair{})
	}
	l.count++
	return l.at(l.count - 1)
}

// clear forgets all pairs.
func (l *pairs) clear() { l.more, l.count = nil, 0 }
