// Package nilness tells values that are nil, and spares callers what comes of some.
package nilness

import (
	"context"
	"reflect"
)

// Context returns ctx, or [context.Background] where a caller has given none.
func Context(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

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
