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
	pairs := make([]*Pair, 0, len(f.pairs))
	for i := range f.pairs {
		if p := &f.pairs[i]; !f.unnamed(p) {
			pairs = append(pairs, p)
		}
	}
	f.pairs = f.pairs[:0]
	slices.SortFunc(pairs, compare)
	if hasClash(pairs) {
		pairs = f.resolve(pairs)
	}
	if len(pairs) == 0 {
		return nil
	}
	properties := make([]P, len(pairs))
	for i, p := range pairs {
		if p.nameCut || p.valueCut {
			f.noteCut(p)
		}
		properties[i] = P{p.Name, p.Value, p.Class == Number || p.Class == Bool}
	}
	return properties
}

// unnamed reports whether the name of a pair cannot be sent, and notes it.
func (f *Flattener) unnamed(p *Pair) bool {
	switch {
	case name.Blank(p.Name):
		f.note(Note{Name: p.Given, Kind: NameDropped, Reason: "is a blank name"})
	case name.Reserved(p.Name):
		f.note(Note{Name: p.Given, Kind: Reserved, Reason: "is a reserved name"})
	default:
		return false
	}
	return true
}

func (f *Flattener) noteCut(p *Pair) {
	if p.nameCut {
		f.note(Note{Name: p.Given, Kind: NameCut, Reason: fmt.Sprintf("has more than %d characters as a name", name.MaxChars)})
	}
	if p.valueCut {
		f.note(Note{Name: p.Given, Kind: ValueCut, Reason: fmt.Sprintf("has more than %d characters", f.maxValue())})
	}
}

// compare orders pairs by name, and those of one name so that the one to keep
// comes first.
func compare(a, b *Pair) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return compareSame(a, b)
}

// compareSame orders pairs whose names are one to Kissmetrics.
func compareSame(a, b *Pair) int {
	return cmp.Or(cmp.Compare(a.depth, b.depth), strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value),
		-cmp.Compare(a.Class, b.Class), strings.Compare(a.Given, b.Given))
}

// hasClash reports whether two of the names are one to Kissmetrics.
func hasClash(pairs []*Pair) bool {
	const few = 64 // up to which comparing each with each is the fastest
	if len(pairs) > few {
		seen := make(map[string]bool, len(pairs))
		for i := range pairs {
			seen[name.Fold(pairs[i].Name)] = true
		}
		return len(seen) < len(pairs)
	}
	for i := range pairs {
		for j := range i {
			if name.Same(pairs[i].Name, pairs[j].Name) {
				return true
			}
		}
	}
	return false
}

// resolve returns of all pairs whose names are one to Kissmetrics the one that
// is kept. Another with the same value is not missed; any other is noted.
func (f *Flattener) resolve(pairs []*Pair) []*Pair {
	kept := make(map[string]int, len(pairs)) // by fold
	for i := range pairs {
		folded := name.Fold(pairs[i].Name)
		if k, ok := kept[folded]; !ok || compareSame(pairs[i], pairs[k]) < 0 {
			kept[folded] = i
		}
	}
	var rest []*Pair
	for i, p := range pairs {
		k := kept[name.Fold(p.Name)]
		switch winner := pairs[k]; {
		case k == i:
			rest = append(rest, p)
		case p.Value == winner.Value:
		case p.Name == winner.Name && p.depth > winner.depth:
			f.note(Note{Name: p.Given, Kind: Hidden, Reason: "is nested, and stands there less nested too, with another value"})
		default:
			f.note(Note{Name: p.Given, Kind: Clash, Other: winner.Given, Reason: "is one name to Kissmetrics with another, of a different value"})
		}
	}
	return rest
}
