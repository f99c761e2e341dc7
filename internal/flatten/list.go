package flatten

import (
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An Element is one element of a list, evaluated once.
type Element struct {
	text  string
	class Class
	value reflect.Value // of an object
	list  []Element     // of a list
}

// IsNothing reports whether an element is nil, or holds what cannot be written.
func (e *Element) IsNothing() bool { return e.class == None }

// Objects returns the elements of a list of objects, which may have nil among
// them, but not nil alone. Any other value it flattens under the given name, but
// for an empty list, which says nothing.
func (f *Flattener) Objects(name string, v any) []Element {
	s, class, rest := f.scalar(name, v, 1)
	switch class {
	case None:
	case Object:
		f.object(name, rest, 1)
	case List:
		elements := f.elements(name, rest, 1)
		if len(elements) == 0 {
			return nil
		}
		other := func(e Element) bool { return e.class != Object && e.class != None }
		if slices.ContainsFunc(elements, holdsObject) && !slices.ContainsFunc(elements, other) {
			return elements
		}
		f.Elements(name, elements)
	default:
		f.put(name, s, class, 1)
	}
	return nil
}

// Elements flattens the elements of a list under its name.
func (f *Flattener) Elements(name string, elements []Element) { f.flatten(name, elements, 1) }

// Element flattens the members of an object as properties of their own.
func (f *Flattener) Element(e Element) {
	if e.class == Object {
		f.object("", e.value, 0)
	}
}

// list flattens a slice or array: joined with commas if all of it is scalars,
// and otherwise each element under its index.
func (f *Flattener) list(name string, rv reflect.Value, depth int) {
	f.flatten(name, f.elements(name, rv, depth), depth)
}

func (f *Flattener) flatten(name string, elements []Element, depth int) {
	if !slices.ContainsFunc(elements, holdsObject) {
		f.put(name, f.keep(f.appendJoined(nil, elements)), List, depth)
		return
	}
	for i, e := range elements {
		under := f.join(name, strconv.Itoa(i))
		switch e.class {
		case None:
		case Object:
			f.object(under, e.value, depth+1)
		case List:
			f.flatten(under, e.list, depth+1)
		default:
			f.put(under, e.text, e.class, depth+1)
		}
	}
}

// elements evaluates every element of a list.
func (f *Flattener) elements(name string, rv reflect.Value, depth int) (elements []Element) {
	for i := range rv.Len() {
		var e Element
		e.text, e.class, e.value = f.scalar(name, rv.Index(i).Interface(), depth+1)
		if f.stopped {
			break
		}
		if e.class == List {
			e.list = f.elements(name, e.value, depth+1)
		}
		elements = append(elements, e)
	}
	return elements
}

func holdsObject(e Element) bool {
	return e.class == Object || slices.ContainsFunc(e.list, holdsObject)
}

// appendJoined appends the texts of elements, with commas between them, up to
// where the result will be cut anyway.
func (f *Flattener) appendJoined(dst []byte, elements []Element) []byte {
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.text...)
		if e.class == List {
			dst = f.appendJoined(dst, e.list)
		}
		if len(dst) > f.maxValue()*utf8.UTFMax {
			break
		}
	}
	return dst
}
