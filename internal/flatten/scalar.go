package flatten

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
)

// scalar returns the text of v and its class. Of a list or an object it returns
// the value itself, without the pointers and interfaces around it.
func (f *Flattener) scalar(name string, v any, depth int) (string, Class, reflect.Value) {
	if !f.enter(name, depth) {
		return "", None, reflect.Value{}
	}
	b := f.scratch[:0]
	switch v := v.(type) {
	case nil:
		return "", None, reflect.Value{}
	case string:
		return v, Text, reflect.Value{}
	case bool:
		return strconv.FormatBool(v), Bool, reflect.Value{}
	case int:
		b = strconv.AppendInt(b, int64(v), 10)
	case int64:
		b = strconv.AppendInt(b, v, 10)
	case float64:
		return f.float(name, v, 64)
	case json.Number:
		plain, ok := decimal.Plain(string(v), f.maxDigits())
		return f.number(name, plain, ok)
	case time.Time:
		if v.IsZero() {
			return "", None, reflect.Value{}
		}
		b = strconv.AppendInt(b, v.Unix(), 10)
	case time.Duration:
		b = decimal.AppendSeconds(b, v)
	case map[string]any:
		return container(reflect.ValueOf(v), Object)
	case []any:
		return container(reflect.ValueOf(v), List)
	default:
		return f.reflected(name, v, depth)
	}
	return f.keep(b), Number, reflect.Value{}
}

// container returns a list or an object, or nothing if it is nil.
func container(rv reflect.Value, class Class) (string, Class, reflect.Value) {
	if rv.IsNil() {
		return "", None, reflect.Value{}
	}
	return "", class, rv
}

// float writes a number without an exponent.
func (f *Flattener) float(name string, v float64, bits int) (string, Class, reflect.Value) {
	switch {
	case math.IsNaN(v):
		return f.unwritable(name, "is NaN")
	case math.IsInf(v, 0):
		return f.unwritable(name, "is infinite")
	}
	return f.keep(decimal.AppendFloat(f.scratch[:0], v, bits)), Number, reflect.Value{}
}

// number returns a number that was written, or notes that it could not be.
func (f *Flattener) number(name, plain string, ok bool) (string, Class, reflect.Value) {
	if !ok {
		return f.unwritable(name, "is not a number that can be written in plain decimal")
	}
	return plain, Number, reflect.Value{}
}

// unwritable notes that a value cannot be written.
func (f *Flattener) unwritable(name, reason string) (string, Class, reflect.Value) {
	f.drop(name, reason)
	return "", None, reflect.Value{}
}

// reflected is scalar for a value of any other type.
func (f *Flattener) reflected(name string, v any, depth int) (string, Class, reflect.Value) {
	rv := reflect.ValueOf(v)
	if isNil(rv) {
		return "", None, reflect.Value{}
	}
	switch v := v.(type) {
	case *time.Time, *time.Duration, *json.Number, *json.RawMessage: // whose methods write it otherwise
		return f.scalar(name, rv.Elem().Interface(), depth+1)
	case json.RawMessage:
		return f.json(name, v, depth)
	case big.Int:
		return f.reflected(name, &v, depth)
	case big.Float:
		return f.reflected(name, &v, depth)
	case big.Rat:
		return f.reflected(name, &v, depth)
	case *big.Int:
		plain, ok := decimal.BigInt(v, f.maxDigits())
		return f.number(name, plain, ok)
	case *big.Float:
		plain, ok := decimal.BigFloat(v, f.maxDigits())
		return f.number(name, plain, ok)
	case *big.Rat:
		plain, ok := decimal.BigRat(v, f.maxDigits())
		return f.number(name, plain, ok)
	}
	if s, class, rest, ok := f.method(name, v, rv, depth); ok {
		return s, class, rest
	}
	return f.kind(name, rv, depth)
}

// maxDigits is how long a number can be that is still written. It may be cut
// afterwards.
func (f *Flattener) maxDigits() int { return max(f.maxValue(), 1<<10) }

// kind returns the text of a value by what its type is made of.
func (f *Flattener) kind(name string, rv reflect.Value, depth int) (string, Class, reflect.Value) {
	b := f.scratch[:0]
	switch rv.Kind() {
	case reflect.String:
		return rv.String(), Text, reflect.Value{}
	case reflect.Bool:
		return strconv.FormatBool(rv.Bool()), Bool, reflect.Value{}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return f.keep(strconv.AppendInt(b, rv.Int(), 10)), Number, reflect.Value{}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return f.keep(strconv.AppendUint(b, rv.Uint(), 10)), Number, reflect.Value{}
	case reflect.Float32, reflect.Float64:
		return f.float(name, rv.Float(), rv.Type().Bits())
	case reflect.Pointer, reflect.Interface:
		return f.scalar(name, rv.Elem().Interface(), depth+1)
	case reflect.Slice:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			return f.bytes(rv.Bytes()), Text, reflect.Value{}
		}
		return "", List, rv
	case reflect.Array:
		return "", List, rv
	case reflect.Struct:
		return f.structType(name, rv, depth)
	case reflect.Map:
		return "", Object, rv
	}
	return f.unwritable(name, "is a "+rv.Kind().String()+", which cannot be sent")
}

// structType returns a struct that is yet to be taken apart, or what one without
// fields stands for: a time, or what the methods of its pointer say.
func (f *Flattener) structType(name string, rv reflect.Value, depth int) (string, Class, reflect.Value) {
	if len(f.fieldsOf(rv.Type())) > 0 || rv.NumField() == 0 {
		return "", Object, rv
	}
	if when := reflect.TypeFor[time.Time](); rv.CanConvert(when) {
		return f.scalar(name, rv.Convert(when).Interface(), depth+1)
	}
	pointer := reflect.New(rv.Type())
	pointer.Elem().Set(rv)
	if s, class, rest, ok := f.method(name, pointer.Interface(), pointer, depth); ok {
		return s, class, rest
	}
	return f.unwritable(name, "is a struct with nothing that can be read: no exported field, and no method that gives a text")
}

// bytes returns bytes as a text, of which the end that is cut anyway is left
// out.
func (f *Flattener) bytes(b []byte) string {
	return string(b[:min(len(b), (f.maxValue()+1)*utf8.UTFMax)])
}

func isNil(rv reflect.Value) bool {
	switch rv.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return rv.IsNil()
	}
	return false
}
