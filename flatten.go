package kissmetrics

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

const (
	maxDepth  = 64      // levels of nesting
	maxValues = 1 << 16 // values of one message, those within others included
)

// A flattener takes the properties of one message apart into names and texts.
// The rules are those that Properties documents. It is reused for each product
// of an order, and counts their values together.
type flattener struct {
	problems
	count   int             // of the properties, in no order yet: property(i) is one
	few     [16]Property    // the first of them; an array, so that most messages need no slice
	more    []Property      // the others
	depths  []uint8         // of the properties: the levels of nesting, where there is any
	lists   []string        // the names of those that were lists
	text    strings.Builder // what the texts and names made here are parts of
	scratch [64]byte        // room for one number
	rest    reflect.Value   // the list or object that scalar found last
	skipped any             // the member that members left out last
	visited int
	stopped bool // too deep or too many: what is left is not looked at
}

// class says what became of one Go value.
type class uint8

const (
	none    class = iota // nil, or refused with a problem
	text                 // a text
	literal              // a text that is a number or a boolean
	list                 // a slice or array, yet to be taken apart
	object               // a map or struct, yet to be taken apart
)

// members flattens every member of m, which has the given name and depth, but
// for the one named skip, which it leaves in f.skipped.
func (f *flattener) members(name string, m map[string]any, skip string, depth int) {
	for key, v := range m {
		if skip != "" && key == skip {
			f.skipped = v
			continue
		}
		f.value(f.member(name, key, depth), v, depth+1)
	}
}

// member returns the name of a member of the object of the given name and
// depth. Those of the outermost object, at depth 0, stand for themselves.
func (f *flattener) member(name, key string, depth int) string {
	if depth == 0 {
		return valid(key)
	}
	return f.join(name, ".", valid(key))
}

// value flattens v under the given name.
func (f *flattener) value(name string, v any, depth int) {
	switch v := v.(type) { // the most frequent, which need not be told apart again
	case string:
		if f.enter(name, depth) {
			f.put(name, sent(v), text, depth)
		}
		return
	case int:
		if f.enter(name, depth) {
			f.put(name, f.keep(strconv.AppendInt(f.scratch[:0], int64(v), 10)), literal, depth)
		}
		return
	case float64:
		if f.enter(name, depth) {
			if s, class := f.float(name, v, 64); class != none {
				f.put(name, s, class, depth)
			}
		}
		return
	}
	s, class := f.scalar(name, v, depth)
	switch class {
	case text, literal:
		f.put(name, s, class, depth)
	case list:
		f.list(name, f.rest, depth)
	case object:
		f.object(name, f.rest, depth)
	}
}

// put adds a property; the class is text, literal, or list for the text of one.
func (f *flattener) put(name, value string, class class, depth int) {
	if len(value) > maxValueBytes {
		f.refuse(name, "has more than 8192 bytes")
		return
	}
	if f.count < len(f.few) {
		p := &f.few[f.count]
		p.Name, p.Value, p.Literal = name, value, class == literal
	} else {
		f.more = append(f.more, Property{name, value, class == literal})
	}
	f.count++
	if depth > 1 {
		for len(f.depths) < f.count {
			f.depths = append(f.depths, 1)
		}
		f.depths[f.count-1] = uint8(min(depth, math.MaxUint8))
	}
	if class == list {
		f.lists = append(f.lists, name)
	}
}

// property returns one of the properties found so far.
func (f *flattener) property(i int) *Property {
	if i < len(f.few) {
		return &f.few[i]
	}
	return &f.more[i-len(f.few)]
}

// depth returns the levels of nesting at which a property was found; that of a
// literal name is 1.
func (f *flattener) depth(i int) uint8 {
	if i < len(f.depths) {
		return f.depths[i]
	}
	return 1
}

// refuse notes a problem with the value of the given name.
func (f *flattener) refuse(name, reason string) {
	f.add("property", quoted(name)+" "+reason)
}

// enter counts one value, and reports whether it may be looked at.
func (f *flattener) enter(name string, depth int) bool {
	f.visited++
	if depth > maxDepth || f.visited > maxValues {
		f.stop(name, depth)
	}
	return !f.stopped
}

// stop says why there is no going on.
func (f *flattener) stop(name string, depth int) {
	switch {
	case f.stopped:
	case depth > maxDepth:
		f.refuse(name, "is nested more than 64 levels deep, or in a cycle")
	default:
		f.add("property", "there are more than 65536 values")
	}
	f.stopped = true
}

// sent returns s as it is sent. What is too long anyway is left as it is.
func sent(s string) string {
	if len(s) > maxValueBytes {
		return s
	}
	return valid(s)
}

// valid returns s with every run of invalid UTF-8 replaced by U+FFFD.
func valid(s string) string {
	var bits byte // one pass over a short text costs less than a call
	for i := range min(len(s), 32) {
		bits |= s[i]
	}
	if bits < utf8.RuneSelf && len(s) <= 32 || utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// keep copies b to where the texts of the message are, and returns the copy.
func (f *flattener) keep(b []byte) string {
	start := f.room(len(b))
	f.text.Write(b)
	return f.text.String()[start:]
}

// room makes room for a text of n bytes, and returns where it will begin.
func (f *flattener) room(n int) int {
	const chunk = 96
	if f.text.Cap()-f.text.Len() < n {
		f.text.Grow(max(n, chunk))
	}
	return f.text.Len()
}

// join returns the parts as one name, or a part that is too long alone: it will
// be refused, and must not fill the memory with all the names that it is part of.
func (f *flattener) join(parts ...string) string {
	n := 0
	for _, part := range parts {
		if tooManyChars(part) {
			return part
		}
		n += len(part)
	}
	start := f.room(n)
	for _, part := range parts {
		f.text.WriteString(part)
	}
	return f.text.String()[start:]
}

// scalar returns the text of v. Where it is a list or an object, f.rest is the
// value itself, without the pointers and interfaces around it.
func (f *flattener) scalar(name string, v any, depth int) (string, class) {
	if !f.enter(name, depth) {
		return "", none
	}
	b := f.scratch[:0]
	switch v := v.(type) {
	case nil:
		return "", none
	case string:
		return sent(v), text
	case bool:
		return strconv.FormatBool(v), literal
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
	case json.RawMessage:
		decoded, err := jsonwalk.Value(v)
		if err != nil {
			f.refuse(name, "is not valid JSON")
			return "", none
		}
		return f.scalar(name, decoded, depth+1)
	case map[string]any, Properties, []any:
		rv := reflect.ValueOf(v)
		switch {
		case rv.IsNil():
			return "", none
		case rv.Kind() == reflect.Map:
			return f.found(object, rv)
		}
		return f.found(list, rv)
	default:
		return f.reflected(name, reflect.ValueOf(v), depth)
	}
	return f.keep(b), literal
}

// found notes a list or object for the caller of scalar to take apart.
func (f *flattener) found(c class, rv reflect.Value) (string, class) {
	f.rest = rv
	return "", c
}

// reflected is scalar for the types that it does not know by name.
func (f *flattener) reflected(name string, rv reflect.Value, depth int) (string, class) {
	if nilable(rv.Kind()) && rv.IsNil() {
		return "", none
	}
	switch rv.Interface().(type) {
	case *time.Time, *time.Duration, *json.Number: // whose methods say it otherwise
		return f.scalar(name, rv.Elem().Interface(), depth+1)
	}
	if s, c, ok := f.method(name, rv, depth); ok {
		return s, c
	}
	b := f.scratch[:0]
	switch rv.Kind() {
	case reflect.String:
		return sent(rv.String()), text
	case reflect.Bool:
		return strconv.FormatBool(rv.Bool()), literal
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return f.keep(strconv.AppendInt(b, rv.Int(), 10)), literal
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return f.keep(strconv.AppendUint(b, rv.Uint(), 10)), literal
	case reflect.Float32, reflect.Float64:
		return f.float(name, rv.Float(), rv.Type().Bits())
	case reflect.Pointer, reflect.Interface:
		return f.scalar(name, rv.Elem().Interface(), depth+1)
	case reflect.Slice:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			return sent(string(rv.Bytes())), text
		}
		return f.found(list, rv)
	case reflect.Array:
		return f.found(list, rv)
	case reflect.Map, reflect.Struct:
		return f.found(object, rv)
	}
	f.refuse(name, "is a "+rv.Kind().String()+", which cannot be sent")
	return "", none
}

func nilable(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Interface || k == reflect.Map || k == reflect.Slice
}

// float writes a number without an exponent.
func (f *flattener) float(name string, v float64, bits int) (string, class) {
	switch {
	case math.IsNaN(v):
		f.refuse(name, "is NaN")
		return "", none
	case math.IsInf(v, 0):
		f.refuse(name, "is infinite")
		return "", none
	case v == 0:
		v = 0 // and not -0
	}
	return f.keep(appendFloat(f.scratch[:0], v, bits)), literal
}

// number writes a number of JSON with the digits it has, and no exponent.
func (f *flattener) number(name, s string) (string, class) {
	plain, ok := plainNumber(s)
	if !ok {
		f.refuse(name, "is not a number of at most 8192 digits")
		return "", none
	}
	return plain, literal
}

// method returns what a value says of itself, by the first of the methods that
// Properties names; ok is false where it has none. A method that fails or
// panics is a problem.
func (f *flattener) method(name string, rv reflect.Value, depth int) (s string, c class, ok bool) {
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
		return "", none, false
	}
	s, failed := guarded(call)
	decoded, err := any(nil), error(nil)
	if isJSON && failed == "" {
		decoded, err = jsonwalk.Value([]byte(s))
	}
	switch {
	case failed != "":
		f.refuse(name, "has a method that "+failed)
	case !isJSON:
		return sent(s), text, true
	case err != nil:
		f.refuse(name, "has a MarshalJSON method that returns invalid JSON")
	default:
		s, c = f.scalar(name, decoded, depth+1)
		return s, c, true
	}
	return "", none, true
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
	for entries := rv.MapRange(); entries.Next(); { // Seq2 would have f escape
		key := entries.Key()
		if key.Kind() == reflect.Interface {
			key = key.Elem()
		}
		if key.Kind() != reflect.String {
			f.refuse(known(name, depth), "is a map whose keys are not strings")
			return
		}
		f.value(f.member(name, key.String(), depth), entries.Value().Interface(), depth+1)
	}
}

// known returns the name that the caller knows an object by. Of those at depth
// 0 only a product has no better one.
func known(name string, depth int) string {
	if depth == 0 {
		return productsName
	}
	return name
}
