package kissmetrics

import (
	"reflect"
	"slices"
	"strconv"
)

// element is one element of a list, evaluated once.
type element struct {
	text  string
	class class
	value reflect.Value // of an object
	list  []element     // of a list
}

// list flattens a slice or array: joined with commas where all of it is
// scalars, and otherwise each element under its index.
func (f *flattener) list(name string, rv reflect.Value, depth int) {
	elements, hasObject := f.elements(name, rv, depth)
	f.elementsUnder(name, elements, hasObject, depth)
}

func (f *flattener) elementsUnder(name string, elements []element, hasObject bool, depth int) {
	if f.stopped {
		return
	}
	if !hasObject {
		joined, ok := appendJoined(nil, elements)
		if !ok {
			f.refuse(name, "has more than 8192 bytes")
			return
		}
		f.put(name, f.keep(joined), list, depth)
		return
	}
	for i, e := range elements {
		under := f.join(name, ".", strconv.Itoa(i))
		switch e.class {
		case text, literal:
			f.put(under, e.text, e.class, depth+1)
		case object:
			f.object(under, e.value, depth+1)
		case list:
			f.elementsUnder(under, e.list, slices.ContainsFunc(e.list, holdsObject), depth+1)
		}
	}
}

// elements evaluates every element of a list, and reports whether an object is
// among them or within them.
func (f *flattener) elements(name string, rv reflect.Value, depth int) (elements []element, hasObject bool) {
	if f.visited+rv.Len() > maxValues {
		f.visited = maxValues // say so, and stop
	}
	for i := range rv.Len() {
		var e element
		e.text, e.class = f.scalar(name, rv.Index(i).Interface(), depth+1)
		switch {
		case f.stopped:
			return nil, false
		case e.class == object:
			e.value = f.rest
		case e.class == list:
			e.list, _ = f.elements(name, f.rest, depth+1)
		}
		hasObject = hasObject || holdsObject(e)
		elements = append(elements, e)
	}
	return elements, hasObject
}

func holdsObject(e element) bool {
	return e.class == object || slices.ContainsFunc(e.list, holdsObject)
}

// appendJoined appends the texts of elements, with commas between them; ok is
// false where they are too long to be a value.
func appendJoined(dst []byte, elements []element) (joined []byte, ok bool) {
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.text...)
		if e.class == list {
			if dst, ok = appendJoined(dst, e.list); !ok {
				return nil, false
			}
		}
		if len(dst) > maxValueBytes {
			return nil, false
		}
	}
	return dst, true
}
