package kissmetrics

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// field is a field of a struct, or one promoted from an embedded struct.
type field struct {
	name     string
	value    reflect.Value
	tagged   bool
	omitted  bool // by omitempty or omitzero
	embedded int  // how many structs it was promoted through
}

// structure flattens the fields of a struct, which it finds and names as
// encoding/json does.
func (f *flattener) structure(name string, rv reflect.Value, depth int) {
	fields := f.fields(nil, known(name, depth), rv, 0)
	if len(fields) == 0 && rv.NumField() > 0 && !f.stopped {
		f.refuse(known(name, depth), "is a struct with nothing that can be read: no exported field, and no method that gives a text")
		return
	}
	for _, field := range fields {
		if !field.omitted && dominant(field, fields) {
			f.value(f.member(name, field.name, depth), field.value.Interface(), depth+1)
		}
	}
}

// fields appends the fields of rv and of the structs embedded in it.
func (f *flattener) fields(fields []field, name string, rv reflect.Value, embedded int) []field {
	if !f.enter(name, embedded) { // an embedded pointer can lead back to itself
		return fields
	}
	for i := range rv.NumField() {
		structField, v := rv.Type().Field(i), rv.Field(i)
		tag := structField.Tag.Get("json")
		tagName, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if structField.Anonymous && tagName == "" {
			inner := v
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				fields = f.fields(fields, name, inner, embedded+1)
				continue
			}
		}
		if !structField.IsExported() {
			continue
		}
		fields = append(fields, field{
			name:     cmp.Or(tagName, structField.Name),
			value:    v,
			tagged:   tagName != "",
			omitted:  f.omitted(name, v, strings.Split(options, ",")),
			embedded: embedded,
		})
	}
	return fields
}

// omitted reports whether the options of a field's tag leave its value out.
func (f *flattener) omitted(name string, v reflect.Value, options []string) bool {
	if slices.Contains(options, "omitempty") {
		switch v.Kind() {
		case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
			if v.Len() == 0 {
				return true
			}
		case reflect.Struct:
		default:
			if v.IsZero() {
				return true
			}
		}
	}
	if !slices.Contains(options, "omitzero") {
		return false
	}
	zeroer, ok := reflect.TypeAssert[interface{ IsZero() bool }](v)
	if !ok || nilable(v.Kind()) && v.IsNil() {
		return v.IsZero()
	}
	isZero := false
	_, failed := guarded(func() (string, error) {
		isZero = zeroer.IsZero()
		return "", nil
	})
	if failed != "" {
		f.refuse(name, "has a method that "+failed)
	}
	return isZero
}

// dominant reports whether of all fields with its name this is the one that
// encoding/json would take: the least embedded, and among those the tagged one.
// Where that leaves several it takes none.
func dominant(f field, all []field) bool {
	same := 0
	for _, other := range all {
		if other.name != f.name {
			continue
		}
		if other.embedded < f.embedded || other.embedded == f.embedded && other.tagged && !f.tagged {
			return false
		}
		if other.embedded == f.embedded && other.tagged == f.tagged {
			same++
		}
	}
	return same == 1
}
