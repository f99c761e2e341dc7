package flatten

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// A field is a field of a struct, or one promoted from an embedded struct.
type field struct {
	name      string
	index     []int // the way to it through embedded structs
	tagged    bool
	omitEmpty bool
	omitZero  bool
	asText    bool // a number or boolean that is to be a text
}

// structure flattens the fields of a struct, which it finds and names as
// encoding/json does.
func (f *Flattener) structure(under string, rv reflect.Value, depth int) {
	for _, field := range f.fieldsOf(rv.Type()) {
		v, err := rv.FieldByIndexErr(field.index)
		if err != nil { // an embedded pointer on the way is nil
			continue
		}
		name := f.member(under, field.name, depth)
		if field.omitEmpty && isEmpty(v) || field.omitZero && f.isZeroField(name, v) {
			continue
		}
		before := f.pairs.count
		f.value(name, v.Interface(), depth+1)
		if field.asText && f.pairs.count > before {
			f.pairs.at(before).Class = Text
		}
	}
}

// fieldsOf returns the fields of a struct type, in their order. Whether one hides
// another is a matter of types, and not of what a value holds.
func (f *Flattener) fieldsOf(t reflect.Type) []field {
	fields, ok := f.fields[t]
	if ok {
		return fields
	}
	all := appendFields(nil, t, nil, nil)
	for _, field := range all {
		if isDominant(field, all) {
			fields = append(fields, field)
		}
	}
	if f.fields == nil {
		f.fields = make(map[reflect.Type][]field)
	}
	f.fields[t] = fields
	return fields
}

// appendFields appends the fields of t and of the structs embedded in it, but
// not of one that is embedded in itself.
func appendFields(fields []field, t reflect.Type, index []int, within []reflect.Type) []field {
	if slices.Contains(within, t) {
		return fields
	}
	within = append(slices.Clip(within), t)
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" {
			continue
		}
		tagName, options, _ := strings.Cut(tag, ",")
		if !isTagName(tagName) {
			tagName = ""
		}
		at := append(slices.Clip(index), i)
		if inner := embedded(sf); inner != nil && tagName == "" {
			fields = appendFields(fields, inner, at, within)
			continue
		}
		if !sf.IsExported() {
			continue
		}
		has := func(option string) bool { return slices.Contains(strings.Split(options, ","), option) }
		fields = append(fields, field{
			name:      cmp.Or(tagName, sf.Name),
			index:     at,
			tagged:    tagName != "",
			omitEmpty: has("omitempty"),
			omitZero:  has("omitzero"),
			asText:    has("string") && isBasic(sf.Type),
		})
	}
	return fields
}

// embedded returns the struct type that a field embeds, by itself or by a
// pointer, or nil.
func embedded(sf reflect.StructField) reflect.Type {
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !sf.Anonymous || t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

// isDominant reports whether of all fields with its name this is the one that
// encoding/json would take: the least embedded, and among those the tagged one.
// If that leaves several it takes none.
func isDominant(f field, all []field) bool {
	same := 0
	for _, other := range all {
		if other.name != f.name {
			continue
		}
		switch {
		case len(other.index) < len(f.index), len(other.index) == len(f.index) && other.tagged && !f.tagged:
			return false
		case len(other.index) == len(f.index) && other.tagged == f.tagged:
			same++
		}
	}
	return same == 1
}

// isTagName reports whether encoding/json takes a text for a name.
func isTagName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// isBasic reports whether the option string of a tag has a meaning for a type.
func isBasic(t reflect.Type) bool {
	if t.Name() == "" && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	}
	return false
}

// isEmpty reports whether omitempty leaves a value out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// isZeroField reports whether omitzero leaves a value out.
func (f *Flattener) isZeroField(name string, v reflect.Value) bool {
	zeroer, ok := reflect.TypeAssert[interface{ IsZero() bool }](v)
	if !ok || isNil(v) {
		return v.IsZero()
	}
	return f.isZero(name, zeroer)
}
