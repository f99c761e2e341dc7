// Package nilness tells values that are nil.
package nilness

import "reflect"

// IsNil reports whether v is nil, or a nil pointer, map, function, slice or
// channel in an interface.
func IsNil(v any) bool {
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Slice, reflect.Chan:
		return rv.IsNil()
	}
	return false
}
