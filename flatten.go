package kissmetrics

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxDepth  = 64      // levels of nesting
	maxValues = 1 << 16 // values of one message, those within others included
)

// flatProperty is a property that has not found its final name yet.
type flatProperty struct {
	Property
	depth  int  // levels of nesting it was found at; 1 is a literal name
	joined bool // it was a list
}

// A flattener takes the properties of one message apart into names and texts.
// The rules are those that Properties documents. It is reused for each product
// of an order, and counts their values together.
type flattener struct {
	problems
	flat    []flatProperty
	text    strings.Builder // what the texts and names made here are parts of
	scratch [64]byte        // room for one number
	visited int
	stopped bool // too deep or too many: what is left is not looked at
}

// class says what became of one Go value.
type class int

const (
	none    class = iota // nil, or refused with a problem
	text                 // a text
	literal              // a text that is a number or a boolean
	list                 // a slice or array, yet to be taken apart
	object               // a map or struct, yet to be taken apart
)

// members flattens every member of m but the one named skip, under the name of
// m where it has one.
func (f *flattener) members(name string, m map[string]any, skip string, depth int) {
	for key, v := range m {
		if skip == "" || key != skip {
			f.value(f.member(name, key), v, depth+1)
		}
	}
}

// member returns the name of a member of the object of the given name.
func (f *flattener) member(name, key string) string {
	if name == "" {
		return valid(key)
	}
	return f.join(name, ".", valid(key))
}

// value flattens v under the given name.
func (f *flattener) value(name string, v any, depth int) {
	if s, ok := v.(string); ok { // the most frequent by far
		if f.enter(name, depth) {
			f.put(name, f.string(name, s), text, depth)
		}
		return
	}
	s, class, rest := f.scalar(name, v, depth)
	switch class {
	case text, literal:
		f.put(name, s, class, depth)
	case list:
		f.list(name, rest, depth)
	case object:
		f.object(name, rest, depth)
	}
}

func (f *flattener) put(name, value string, class class, depth int) {
	f.flat = append(f.flat, flatProperty{Property{name, value, class == literal}, depth, class == list})
}

// refuse notes a problem with the value of the given name.
func (f *flattener) refuse(name, reason string) {
	if name == "" {
		name = productsName // the only object whose members stand for themselves
	}
	f.add("property", quoted(name)+" "+reason)
}

// enter counts one value, and reports whether it may be looked at.
func (f *flattener) enter(name string, depth int) bool {
	f.visited++
	switch {
	case f.stopped:
	case depth > maxDepth:
		f.stopped = true
		f.refuse(name, "is nested more than 64 levels deep, or in a cycle")
	case f.visited > maxValues:
		f.stopped = true
		f.add("property", "there are more than 65536 values")
	}
	return !f.stopped
}

// string returns s as it is sent.
func (f *flattener) string(name, s string) string {
	if len(s) > maxValueBytes {
		f.refuse(name, "has more than 8192 bytes")
		return ""
	}
	return valid(s)
}

// valid returns s with every run of invalid UTF-8 replaced by U+FFFD.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// keep copies b to where the texts of the message are, and returns the copy.
func (f *flattener) keep(b []byte) string {
	start := f.text.Len()
	f.text.Write(b)
	return f.text.String()[start:]
}

// join returns a and b as one name.
func (f *flattener) join(parts ...string) string {
	start := f.text.Len()
	for _, part := range parts {
		f.text.WriteString(part)
	}
	return f.text.String()[start:]
}

// scalar returns the text of v, or, where it is a list or an object, the value
// itself without the pointers and interfaces around it.
func (f *flattener) scalar(name string, v any, depth int) (string, class, reflect.Value) {
	if !f.enter(name, depth) {
		return "", none, reflect.Value{}
	}
	b := f.scratch[:0]
	switch v := v.(type) {
	case nil:
		return "", none, reflect.Value{}
	case string:
		return f.string(name, v), text, reflect.Value{}
	case bool:
		return strconv.FormatBool(v), literal, reflect.Value{}
	case int:
		b = strconv.AppendInt(b, int64(v), 10)
	case int64:
		b = strconv.AppendInt(b, v, 10)
	case float64:
		return f.float(name, v, 64)
	case json.Number:
		return f.number(name, string(v))
	case time.Time:
		b = strconv.AppendInt(b, v.Unix(), 10)
	case time.Duration:
		b = appendSeconds(b, v)
	case map[string]any, Properties, []any:
		rv := reflect.ValueOf(v)
		switch {
		case rv.IsNil():
			return "", none, reflect.Value{}
		case rv.Kind() == reflect.Map:
			return "", object, rv
		}
		return "", list, rv
	default:
		return f.reflected(name, reflect.ValueOf(v), depth)
	}
	return f.keep(b), literal, reflect.Value{}
}

// reflected is scalar for the types that it does not know by name.
func (f *flattener) reflected(name string, rv reflect.Value, depth int) (string, class, reflect.Value) {
	if nilable(rv.Kind()) && rv.IsNil() {
		return "", none, reflect.Value{}
	}
	if s, c, rest, ok := f.method(name, rv, depth); ok {
		return s, c, rest
	}
	b := f.scratch[:0]
	switch rv.Kind() {
	case reflect.String:
		return f.string(name, rv.String()), text, reflect.Value{}
	case reflect.Bool:
		return strconv.FormatBool(rv.Bool()), literal, reflect.Value{}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return f.keep(strconv.AppendInt(b, rv.Int(), 10)), literal, reflect.Value{}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return f.keep(strconv.AppendUint(b, rv.Uint(), 10)), literal, reflect.Value{}
	case reflect.Float32, reflect.Float64:
		return f.float(name, rv.Float(), rv.Type().Bits())
	case reflect.Pointer, reflect.Interface:
		return f.scalar(name, rv.Elem().Interface(), depth+1)
	case reflect.Slice:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			if rv.Len() > maxValueBytes {
				f.refuse(name, "has more than 8192 bytes")
				return "", none, reflect.Value{}
			}
			return f.string(name, string(rv.Bytes())), text, reflect.Value{}
		}
		return "", list, rv
	case reflect.Array:
		return "", list, rv
	case reflect.Map, reflect.Struct:
		return "", object, rv
	}
	f.refuse(name, "is a "+rv.Kind().String()+", which cannot be sent")
	return "", none, reflect.Value{}
}

func nilable(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Interface || k == reflect.Map || k == reflect.Slice
}

// float writes a number without an exponent.
func (f *flattener) float(name string, v float64, bits int) (string, class, reflect.Value) {
	switch {
	case math.IsNaN(v):
		f.refuse(name, "is NaN")
		return "", none, reflect.Value{}
	case math.IsInf(v, 0):
		f.refuse(name, "is infinite")
		return "", none, reflect.Value{}
	case v == 0:
		v = 0 // and not -0
	}
	return f.keep(strconv.AppendFloat(f.scratch[:0], v, 'f', -1, bits)), literal, reflect.Value{}
}

// number writes a number of JSON with the digits it has, and no exponent.
func (f *flattener) number(name, s string) (string, class, reflect.Value) {
	plain, ok := plainNumber(s)
	if !ok {
		f.refuse(name, "is not a number of at most 8192 digits")
		return "", none, reflect.Value{}
	}
	return plain, literal, reflect.Value{}
}

// method returns what a value says of itself, by the first of the methods that
// Properties names; ok is false where it has none. A method that fails or
// panics is a problem.
func (f *flattener) method(name string, rv reflect.Value, depth int) (s string, c class, rest reflect.Value, ok bool) {
	var call func() (string, error)
	isJSON := false
	switch v := rv.Interface().(type) {
	case encoding.TextMarshaler:
		call = func() (string, error) {
			b, err := v.MarshalText()
			return string(b), err
		}
	case fmt.Stringer:
		call = func() (string, error) { return v.String(), nil }
	case error:
		call = func() (string, error) { return v.Error(), nil }
	case json.Marshaler:
		isJSON = true
		call = func() (string, error) {
			b, err := v.MarshalJSON()
			return string(b), err
		}
	default:
		return "", none, reflect.Value{}, false
	}
	s, failed := guarded(call)
	var decoded any
	switch {
	case failed != "":
		f.refuse(name, "has a method that "+failed)
	case !isJSON:
		return f.string(name, s), text, reflect.Value{}, true
	case decodeJSON([]byte(s), &decoded) != nil:
		f.refuse(name, "has a MarshalJSON method that returns invalid JSON")
	default:
		s, c, rest = f.scalar(name, decoded, depth+1)
		return s, c, rest, true
	}
	return "", none, reflect.Value{}, true
}

// guarded calls a method of the caller's and says what went wrong, without the
// error itself, which may quote the value.
func guarded(call func() (string, error)) (s, failed string) {
	defer func() {
		if recover() != nil {
			s, failed = "", "panics"
		}
	}()
	s, err := call()
	if err != nil {
		return "", "fails"
	}
	return s, ""
}

// object flattens the members of a map or struct.
func (f *flattener) object(name string, rv reflect.Value, depth int) {
	if rv.Kind() == reflect.Struct {
		f.structure(name, rv, depth)
		return
	}
	switch m := rv.Interface().(type) {
	case map[string]any:
		f.members(name, m, "", depth)
		return
	case Properties:
		f.members(name, m, "", depth)
		return
	}
	for key, v := range rv.Seq2() {
		if key.Kind() == reflect.Interface {
			key = key.Elem()
		}
		if key.Kind() != reflect.String {
			f.refuse(name, "is a map whose keys are not strings")
			return
		}
		f.value(f.member(name, key.String()), v.Interface(), depth+1)
	}
}

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
		e.text, e.class, e.value = f.scalar(name, rv.Index(i).Interface(), depth+1)
		if f.stopped {
			return nil, false
		}
		if e.class == list {
			e.list, _ = f.elements(name, e.value, depth+1)
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
