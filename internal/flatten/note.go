package flatten

import (
	"cmp"
	"slices"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// A Kind is why a [Note] was made.
type Kind uint8

// The kinds of notes.
const (
	ValueCut     Kind = iota + 1 // a value has too many characters, and was cut
	ValueDropped                 // a value cannot be written
	NameCut                      // a name has too many characters, and was cut
	NameDropped                  // a name is blank
	Reserved                     // a name is the protocol's own
	Clash                        // another name is the same to Kissmetrics
	Hidden                       // the same name stands there with less nesting
	TooDeep                      // nested too deep
	TooMany                      // what comes after too many values
)

// A Note says what was not sent as it was given, and why.
type Note struct {
	Name   string // of the property, without a prefix
	Kind   Kind
	Reason string // what follows the name in a sentence
	Other  string // the name that was kept in a Clash
}

// Notes returns what was not sent as it was given, in the order of names.
func (f *Flattener) Notes() []Note {
	slices.SortFunc(f.notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Other, b.Other))
	})
	f.notes = slices.Compact(f.notes)
	return f.notes
}

func (f *Flattener) note(n Note) {
	n.Name = name.Cut(n.Name, name.MaxChars)
	switch {
	case f.Under == "":
	case n.Name == "":
		n.Name = f.Under
	default:
		n.Name = f.Under + "." + n.Name
	}
	f.notes = append(f.notes, n)
}

// drop notes that a value cannot be written.
func (f *Flattener) drop(name, reason string) {
	f.note(Note{Name: name, Kind: ValueDropped, Reason: reason})
}
