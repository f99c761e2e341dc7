// Package nilness tells values that are nil, and spares callers what comes of some.
package nilness

import (
	"context"
	"errors"
	"reflect"
)

// Context returns ctx, or [context.Background] where a caller has given none, or a nil
// pointer.
func Context(ctx context.Context) context.Context {
	if IsNil(ctx) {
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

// none is the type of no error.
type none struct{ error }

// Examine calls the methods of an error that is not nil: its own, and those by which
// [errors.Is] and [errors.As] look into it. If one of them panics, as those of a nil
// pointer do, it does so here, where that can be caught, and not in a caller's hands.
func Examine(err error) {
	_ = err.Error()
	_ = errors.Is(err, none{})
	_, _ = errors.AsType[none](err)
}
