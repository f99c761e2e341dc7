package flatten

import (
	"database/sql/driver"
	"encoding"
	"encoding/json"
	jsonv2 "encoding/json/v2"
	"fmt"
	"reflect"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// method returns what a value says of itself, by the first of its methods in the
// order that Properties documents; ok is false if it has none of them. JSON comes
// before String, which is for people to read, and which a type may gain later.
func (f *Flattener) method(name string, v any, rv reflect.Value, depth int) (s string, class Class, rest reflect.Value, ok bool) {
	var text func() (string, error)
	switch v := v.(type) {
	case driver.Valuer:
		if isStruct(rv) {
			s, class, rest = f.column(name, v, rv, depth)
			return s, class, rest, true
		}
	case interface{ AsTime() time.Time }: // of Protocol Buffers, whose String is for people
		s, class, rest = f.asTime(name, v, depth)
		return s, class, rest, true
	case interface { // such as a struct that embeds a time.Time
		IsZero() bool
		Unix() int64
	}:
		if isStruct(rv) && f.isZero(name, v) {
			return "", None, rest, true
		}
	}
	switch v := v.(type) {
	case encoding.TextMarshaler:
		text = func() (string, error) {
			b, err := v.MarshalText()
			return string(b), err
		}
	case json.Marshaler, jsonv2.MarshalerTo:
		s, class, rest = f.marshaler(name, v, depth)
		return s, class, rest, true
	case fmt.Stringer:
		text = func() (string, error) { return v.String(), nil }
	case error:
		text = func() (string, error) { return v.Error(), nil }
	default:
		return "", None, rest, false
	}
	s, failed := guarded(text)
	if failed != "" {
		s, class, rest = f.unwritable(name, "has a method that "+failed)
		return s, class, rest, true
	}
	if plain, isPlain := decimal.Plain(s, f.maxDigits()); isPlain && isNumeric(v) {
		return plain, Number, rest, true
	}
	return s, Text, rest, true
}

// isStruct reports whether a value is a struct, or a pointer to one.
func isStruct(rv reflect.Value) bool {
	return rv.Kind() == reflect.Struct || rv.Kind() == reflect.Pointer && rv.Type().Elem().Kind() == reflect.Struct
}

// isNumeric reports whether the texts of a type are numbers, as those of decimal
// types are.
func isNumeric(v any) bool {
	switch v.(type) {
	case interface{ Float64() (float64, bool) }, interface{ Float64() (float64, error) }:
		return true
	}
	return false
}

// holdsNumeric reports whether a struct begins with a value whose texts are
// numbers, as the types do that make a NULL of a decimal type.
func holdsNumeric(rv reflect.Value) bool {
	rv = reflect.Indirect(rv)
	return rv.NumField() > 0 && rv.Type().Field(0).IsExported() && isNumeric(rv.Field(0).Interface())
}

// column returns the value of a database column, such as a sql.NullString.
// NULL is nothing. Some types keep JSON in a column: it is taken apart.
func (f *Flattener) column(name string, v driver.Valuer, rv reflect.Value, depth int) (string, Class, reflect.Value) {
	if value, ok := sqlNull(reflect.Indirect(rv)); ok {
		return f.scalar(name, value, depth+1)
	}
	var value any
	_, failed := guarded(func() (s string, err error) {
		value, err = v.Value()
		return "", err
	})
	if failed != "" {
		return f.unwritable(name, "has a method that "+failed)
	}
	switch value := value.(type) {
	case []byte:
		if decoded, err := jsonwalk.Value(value); err == nil && isComposite(decoded) {
			return f.scalar(name, decoded, depth+1)
		}
	case string:
		if plain, ok := decimal.Plain(value, f.maxDigits()); ok && (isNumeric(v) || holdsNumeric(rv) || f.isJSONNumber(v)) {
			return plain, Number, reflect.Value{}
		}
	}
	return f.scalar(name, value, depth+1)
}

// sqlNull returns the value of one of the types of database/sql that may be NULL,
// or nil. Its method Value refuses what no database takes, such as a struct.
func sqlNull(rv reflect.Value) (value any, ok bool) {
	const valueField, validField = 0, 1
	t := rv.Type()
	if t.PkgPath() != "database/sql" || t.NumField() != 2 || t.Field(validField).Name != "Valid" {
		return nil, false
	}
	if !rv.Field(validField).Bool() {
		return nil, true
	}
	return rv.Field(valueField).Interface(), true
}

func isComposite(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// isJSONNumber reports whether a value is a number as JSON, although it is a
// text in a database: PostgreSQL's numeric has no other Go type to be.
func (f *Flattener) isJSONNumber(v any) bool {
	marshaler, ok := v.(json.Marshaler)
	if !ok {
		return false
	}
	s, failed := guarded(func() (string, error) {
		b, err := marshaler.MarshalJSON()
		return string(b), err
	})
	_, isNumber := decimal.Plain(s, f.maxDigits())
	return failed == "" && isNumber
}

// marshaler returns the value that the JSON of a type says.
func (f *Flattener) marshaler(name string, v any, depth int) (string, Class, reflect.Value) {
	var data []byte
	_, failed := guarded(func() (s string, err error) {
		if marshaler, ok := v.(json.Marshaler); ok {
			data, err = marshaler.MarshalJSON()
		} else {
			data, err = jsonv2.Marshal(v)
		}
		return "", err
	})
	if failed != "" {
		return f.unwritable(name, "has a method that "+failed)
	}
	return f.json(name, data, depth)
}

// json returns the value that JSON says.
func (f *Flattener) json(name string, data []byte, depth int) (string, Class, reflect.Value) {
	decoded, err := jsonwalk.Value(data)
	if err != nil {
		return f.unwritable(name, "is invalid JSON")
	}
	return f.scalar(name, decoded, depth+1)
}

// asTime returns the time that a value says it is.
func (f *Flattener) asTime(name string, v interface{ AsTime() time.Time }, depth int) (string, Class, reflect.Value) {
	var when time.Time
	_, failed := guarded(func() (string, error) {
		when = v.AsTime()
		return "", nil
	})
	if failed != "" {
		return f.unwritable(name, "has a method that "+failed)
	}
	return f.scalar(name, when, depth+1)
}

// isZero reports whether a value says that it is zero.
func (f *Flattener) isZero(name string, v interface{ IsZero() bool }) bool {
	zero := false
	_, failed := guarded(func() (string, error) {
		zero = v.IsZero()
		return "", nil
	})
	if failed != "" {
		f.drop(name, "has a method that "+failed)
		return true
	}
	return zero
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
