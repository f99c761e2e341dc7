// Package flatten takes Go values apart into flat names and texts, which is all
// that Kissmetrics knows. It is the only place that knows how a Go value is
// written; the rules are those that kissmetrics.Properties documents.
//
// It refuses nothing. What cannot be sent as it is given is cut or left out, and
// a [Note] tells of it.
package flatten

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

const (
	maxDepth  = 64      // levels of nesting
	maxValues = 1 << 16 // values of one message, those within others included
)

// A Class says what kind of text a value has become.
type Class uint8

// The classes of texts.
const (
	None   Class = iota // nothing: nil, or what cannot be written
	Text                // a text
	Number              // a number in plain decimal
	Bool                // true or false
	List                // a list, or the text of one
	Object              // a map or struct, yet to be taken apart
)

// A Flattener takes the properties of one message apart. The zero value is
// ready for use, and may be reused for each product of an order: their values
// are counted together.
type Flattener struct {
	// MaxValue is the number of characters to which texts are cut, 512 if zero.
	MaxValue int
	// Ordered has maps read in the order of their keys. It costs time, and makes a
	// difference only if the flattener [Flattener.Overflowed].
	Ordered bool
	// Under precedes the names that notes tell, with a dot between.
	Under string

	pairs   pairs
	notes   []Note
	text    strings.Builder // what the texts and names made here are parts of
	scratch [64]byte        // room for one number
	fields  map[reflect.Type][]field
	visited int
	stopped bool // there were too many values: what is left is not looked at
}

// Overflowed reports whether there were more values than are looked at.
func (f *Flattener) Overflowed() bool { return f.stopped }

// Members flattens every member of m but for the one named skip, which it
// returns.
func (f *Flattener) Members(m map[string]any, skip string) (skipped any) {
	if skip != "" {
		skipped = m[skip]
	}
	f.members("", m, skip, 0)
	return skipped
}

// Add adds a pair that is less nested than any other, and so beats one with its
// name.
func (f *Flattener) Add(name, value string, class Class) { f.put(name, value, class, 0) }

// Find returns the pair with exactly that name, which is not a nested one's.
func (f *Flattener) Find(name string) *Pair {
	for i := range f.pairs.count {
		if p := f.pairs.at(i); p.depth <= 1 && p.Name == name {
			return p
		}
	}
	return nil
}

// Len returns the number of pairs found so far.
func (f *Flattener) Len() int { return f.pairs.count }

// At returns one of the pairs found so far, which are in no order. Its value may be
// changed.
func (f *Flattener) At(i int) *Pair { return f.pairs.at(i) }

// Prefix puts a text before the name that a pair is sent by. If both together
// are too long, the end of the text is left out, so that names which can be told
// apart still can.
func (f *Flattener) Prefix(p *Pair, text, separator string) {
	room := name.MaxChars - utf8.RuneCountInString(separator) - utf8.RuneCountInString(p.Name)
	if room < 0 {
		p.nameCut = true
		return
	}
	cut := name.Cut(text, room)
	p.nameCut = p.nameCut || len(cut) < len(text)
	p.Name, p.prefix = f.concat(cut, separator, p.Name), uint16(len(cut)+len(separator)) //nolint:gosec // cut to a name
}

// members flattens the members of a map that is found under a name and depth.
func (f *Flattener) members(under string, m map[string]any, skip string, depth int) {
	if f.Ordered {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if skip == "" || key != skip {
				f.value(f.member(under, key, depth), m[key], depth+1)
			}
		}
		return
	}
	for key, v := range m {
		if skip == "" || key != skip {
			f.value(f.member(under, key, depth), v, depth+1)
		}
	}
}

// value flattens v under the given name.
func (f *Flattener) value(name string, v any, depth int) {
	switch v := v.(type) { // the most frequent; scalar knows them all
	case string:
		if f.enter(name, depth) {
			f.put(name, v, Text, depth)
		}
		return
	case int:
		if f.enter(name, depth) {
			f.put(name, f.keep(strconv.AppendInt(f.scratch[:0], int64(v), 10)), Number, depth)
		}
		return
	}
	s, class, rest := f.scalar(name, v, depth)
	switch class {
	case None:
	case List:
		f.list(name, rest, depth)
	case Object:
		f.object(name, rest, depth)
	default:
		f.put(name, s, class, depth)
	}
}

// object flattens the members of a map or struct.
func (f *Flattener) object(under string, rv reflect.Value, depth int) {
	if rv.Kind() == reflect.Struct {
		f.structure(under, rv, depth)
		return
	}
	if plain := reflect.TypeFor[map[string]any](); rv.Type().ConvertibleTo(plain) {
		m, _ := reflect.TypeAssert[map[string]any](rv.Convert(plain))
		f.members(under, m, "", depth)
		return
	}
	for _, key := range f.keys(rv) {
		text := concrete(key)
		if text.Kind() != reflect.String {
			f.drop(under, "is a map whose keys are not strings")
			continue
		}
		if v := rv.MapIndex(key); v.IsValid() { // unless a method of another has removed it
			f.value(f.member(under, text.String(), depth), v.Interface(), depth+1)
		}
	}
}

// keys returns the keys of a map, in order where that is asked for.
func (f *Flattener) keys(rv reflect.Value) []reflect.Value {
	keys := rv.MapKeys()
	if f.Ordered {
		slices.SortFunc(keys, func(a, b reflect.Value) int {
			a, b = concrete(a), concrete(b)
			return cmp.Or(cmp.Compare(a.String(), b.String()), cmp.Compare(typeName(a), typeName(b)))
		})
	}
	return keys
}

// concrete returns what an interface holds, and any other value as it is.
func concrete(rv reflect.Value) reflect.Value {
	if rv.Kind() == reflect.Interface {
		return rv.Elem()
	}
	return rv
}

// typeName tells keys apart that are one text of several types.
func typeName(key reflect.Value) string {
	if !key.IsValid() {
		return ""
	}
	return key.Type().PkgPath() + key.Type().String()
}

// put adds a pair, with its name and value cut to what is kept.
func (f *Flattener) put(given, value string, class Class, depth int) {
	given, nameCut := cutName(given)
	valueCut := false
	if most := f.maxValue(); class != Bool && name.Longer(value, most) { // half a boolean is none
		ok := true
		if class == Number {
			value, ok = decimal.Cut(value, most)
		} else {
			value = name.Cut(value, most)
		}
		if !ok {
			f.drop(given, "is a number of too many digits")
			return
		}
		valueCut = true
	}
	p := f.pairs.add()
	if class != Number && class != Bool { // which are ASCII
		value = name.Valid(value)
	}
	p.Name, p.Value, p.Class, p.depth = given, value, class, uint8(depth) //nolint:gosec // at most 64 levels
	p.nameCut, p.valueCut = nameCut, valueCut
}

func cutName(s string) (cut string, isCut bool) {
	if name.TooLong(s) {
		return name.Cut(s, name.MaxChars), true
	}
	return s, false
}

func (f *Flattener) maxValue() int { return cmp.Or(f.MaxValue, name.MaxValueChars) }

// member returns the name of a member of the object of the given name and
// depth. Those of the outermost object, at depth 0, stand for themselves.
func (f *Flattener) member(under, key string, depth int) string {
	if depth == 0 {
		return name.Valid(key)
	}
	return f.join(under, name.Valid(key))
}

// join returns the name of a part of what is named under. A name that is too
// long is one character too long, and no more: it must not fill the memory with
// the names of all its members.
func (f *Flattener) join(under, part string) string {
	if name.TooLong(under) {
		return under
	}
	return name.Cut(f.concat(under, ".", name.Cut(part, name.MaxChars+1)), name.MaxChars+1)
}

// concat returns one text of three.
func (f *Flattener) concat(a, b, c string) string {
	start := f.room(len(a) + len(b) + len(c))
	f.text.WriteString(a)
	f.text.WriteString(b)
	f.text.WriteString(c)
	return f.text.String()[start:]
}

// keep copies b to where the texts of the message are, and returns the copy.
func (f *Flattener) keep(b []byte) string {
	start := f.room(len(b))
	f.text.Write(b)
	return f.text.String()[start:]
}

// room makes room for a text of n bytes, and returns where it will begin.
func (f *Flattener) room(n int) int {
	const chunk = 96
	if f.text.Cap()-f.text.Len() < n {
		f.text.Grow(max(n, chunk))
	}
	return f.text.Len()
}

// enter counts one value, and reports whether it may be looked at.
func (f *Flattener) enter(name string, depth int) bool {
	f.visited++
	switch {
	case f.stopped:
		return false
	case f.visited > maxValues:
		f.stopped = true
		f.note(Note{Name: name, Kind: TooMany, Reason: "is one of more than 65536 values, and was left out with all that follow"})
		return false
	case depth > maxDepth:
		f.note(Note{Name: name, Kind: TooDeep, Reason: "is nested more than 64 levels deep, or in a cycle"})
		return false
	}
	return true
}
