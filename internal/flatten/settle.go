package flatten

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// Settle returns the pairs found so far as properties, sorted by name, and
// forgets them. Of several whose names are one to Kissmetrics, the least nested
// stays, and among those the first in the order of bytes. A name that is blank or
// reserved is left out.
func Settle[P ~struct {
	Name, Value string
	Literal     bool
}](f *Flattener) []P {
	var room [32]uint32 // spares most messages an allocation
	order := f.sorted(room[:0])
	if f.hasClash(order) {
		order = f.resolve(order)
	}
	pairs := f.pairs
	f.pairs = f.pairs[:0]
	if len(order) == 0 {
		return nil
	}
	properties := make([]P, len(order))
	for i, at := range order {
		p := &pairs[at]
		if p.nameCut || p.valueCut {
			f.noteCut(p)
		}
		properties[i] = P{p.Name, p.Value, p.Class == Number || p.Class == Bool}
	}
	return properties
}

// sorted appends the places of all pairs whose names can be sent, in the order of
// the names.
func (f *Flattener) sorted(order []uint32) []uint32 {
	for i := range f.pairs {
		if !f.isUnnamed(&f.pairs[i]) {
			order = append(order, uint32(i))
		}
	}
	slices.SortFunc(order, func(a, b uint32) int {
		if c := strings.Compare(f.pairs[a].Name, f.pairs[b].Name); c != 0 {
			return c
		}
		return compareSame(&f.pairs[a], &f.pairs[b])
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
		-cmp.Compare(a.Class, b.Class))
}

// hasClash reports whether two of the names, which are sorted, are one to
// Kissmetrics.
func (f *Flattener) hasClash(order []uint32) bool {
	const few = 64 // beyond which it is better to compare folds once
	if len(order) > few {
		return true
	}
	for i, at := range order {
		s := f.pairs[at].Name
		if i > 0 && s == f.pairs[order[i-1]].Name {
			return true
		}
		if name.IsFolded(s) {
			continue
		}
		for j, other := range order {
			if i != j && name.Same(s, f.pairs[other].Name) {
				return true
			}
		}
	}
	return false
}

// resolve keeps one of all pairs whose names are one to Kissmetrics. Another with
// the same value is not missed; any other is noted.
func (f *Flattener) resolve(order []uint32) []uint32 {
	kept := make(map[string]uint32, len(order)) // by fold
	for _, at := range order {
		folded := name.Fold(f.pairs[at].Name)
		if other, ok := kept[folded]; !ok || compareSame(&f.pairs[at], &f.pairs[other]) < 0 {
			kept[folded] = at
		}
	}
	return slices.DeleteFunc(order, func(at uint32) bool {
		p := &f.pairs[at]
		place := kept[name.Fold(p.Name)]
		if place != at {
			f.noteClash(p, &f.pairs[place])
		}
		return place != at
	})
}

// noteClash notes that a pair gives way to another.
func (f *Flattener) noteClash(p, winner *Pair) {
	switch {
	case p.Value == winner.Value:
	case p.Name == winner.Name && p.depth > winner.depth:
		f.note(Note{Name: p.Given(), Kind: Hidden, Reason: "is nested, and stands there less nested too, with another value"})
	default:
		f.note(Note{Name: p.Given(), Kind: Clash, Other: winner.Given(), Reason: "is one name to Kissmetrics with another, of a different value"})
	}
}
