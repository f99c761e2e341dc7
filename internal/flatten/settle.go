package flatten

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// Settle appends the pairs found so far to dst as properties, sorted by name, and
// forgets them. Of several whose names are one to Kissmetrics, the least nested
// stays, and among those the first in the order of bytes. A name that is blank or
// reserved is left out.
func Settle[P ~struct {
	Name, Value string
	Literal     bool
}](f *Flattener, dst []P) []P {
	var room [32]key // spares most messages an allocation
	order := f.sorted(room[:0])
	if f.hasClash(order) {
		order = f.resolve(order)
	}
	defer f.pairs.clear()
	dst = slices.Grow(dst, len(order))
	for _, k := range order {
		p := f.pairs.at(k.place())
		if p.nameCut || p.valueCut {
			f.noteCut(p)
		}
		dst = append(dst, P{p.Name, p.Value, p.Class == Number || p.Class == Bool})
	}
	return dst
}

// A key is the first four bytes of a name, and below them the place of its pair.
// Most names differ so early, and numbers are quick to sort.
type key uint64

func (f *Flattener) key(place int) key {
	var first [4]byte
	copy(first[:], f.pairs.at(place).Name)
	return key(binary.BigEndian.Uint32(first[:]))<<32 | key(place) //nolint:gosec // a place is small
}

func (k key) place() int { return int(uint32(k)) } //nolint:gosec // the lower half

// sorted appends the keys of all pairs whose names can be sent, in the order of
// the names.
func (f *Flattener) sorted(order []key) []key {
	for i := range f.pairs.count {
		if !f.isUnnamed(f.pairs.at(i)) {
			order = append(order, f.key(i))
		}
	}
	slices.SortFunc(order, func(a, b key) int {
		if a>>32 != b>>32 {
			return cmp.Compare(a, b)
		}
		p, q := f.pairs.at(a.place()), f.pairs.at(b.place())
		return cmp.Or(strings.Compare(p.Name, q.Name), compareSame(p, q))
	})
	return order
}

// isUnnamed reports whether the name of a pair cannot be sent, and notes it.
func (f *Flattener) isUnnamed(p *Pair) bool {
	switch {
	case name.Blank(p.Name):
		f.note(Note{Name: p.Given(), Kind: NameDropped, Reason: "is a blank name"})
	case name.Reserved(p.Name):
		f.note(Note{Name: p.Given(), Kind: Reserved, Reason: "is a reserved name"})
	default:
		return false
	}
	return true
}

func (f *Flattener) noteCut(p *Pair) {
	if p.nameCut {
		f.note(Note{Name: p.Given(), Kind: NameCut, Reason: fmt.Sprintf("has more than %d characters as a name", name.MaxChars)})
	}
	if p.valueCut {
		f.note(Note{Name: p.Given(), Kind: ValueCut, Reason: fmt.Sprintf("has more than %d characters", f.maxValue())})
	}
}

// compareSame orders pairs whose names are one to Kissmetrics.
func compareSame(a, b *Pair) int {
	return cmp.Or(cmp.Compare(a.depth, b.depth), strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value),
		-cmp.Compare(a.Class, b.Class), compareBool(a.valueCut, b.valueCut), compareBool(a.nameCut, b.nameCut))
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// hasClash reports whether two of the names, which are sorted, are one to
// Kissmetrics.
func (f *Flattener) hasClash(order []key) bool {
	const few = 64 // beyond which it is better to compare folds once
	if len(order) > few {
		return true
	}
	for i, k := range order {
		s := f.pairs.at(k.place()).Name
		if i > 0 && s == f.pairs.at(order[i-1].place()).Name {
			return true
		}
		if name.IsFolded(s) {
			continue
		}
		for j, other := range order {
			if i != j && name.Same(s, f.pairs.at(other.place()).Name) {
				return true
			}
		}
	}
	return false
}

// resolve keeps one of all pairs whose names are one to Kissmetrics. Another with
// the same value is not missed; any other is noted.
func (f *Flattener) resolve(order []key) []key {
	kept := make(map[string]key, len(order)) // by fold
	for _, k := range order {
		p := f.pairs.at(k.place())
		folded := name.Fold(p.Name)
		if other, ok := kept[folded]; !ok || compareSame(p, f.pairs.at(other.place())) < 0 {
			kept[folded] = k
		}
	}
	return slices.DeleteFunc(order, func(k key) bool {
		p := f.pairs.at(k.place())
		winner := kept[name.Fold(p.Name)]
		if winner != k {
			f.noteClash(p, f.pairs.at(winner.place()))
		}
		return winner != k
	})
}

// noteClash notes that a pair gives way to another.
func (f *Flattener) noteClash(p, winner *Pair) {
	switch {
	case p.Value == winner.Value:
		f.noteCut(p) // what was cut of it is missed, all the same
	case p.Name == winner.Name && p.depth > winner.depth:
		f.note(Note{Name: p.Given(), Kind: Hidden, Reason: "is given less nested too, with another value"})
	default:
		f.note(Note{Name: p.Given(), Kind: Clash, Other: winner.Given(), Reason: "is the same to Kissmetrics as another name, which has a different value"})
	}
}
