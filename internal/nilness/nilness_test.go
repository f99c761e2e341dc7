package nilness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIsNil(t *testing.T) {
	var (
		pointer  *int
		function func()
		channel  chan int
		err      error
	)
	for _, v := range []any{nil, pointer, function, channel, err, map[string]int(nil), []int(nil)} {
		assert.True(t, IsNil(v), "%T", v)
	}
	for _, v := range []any{0, "", struct{}{}, new(int), func() {}, []int{}, map[string]int{}} {
		assert.False(t, IsNil(v), "%T", v)
	}
}

func TestContext(t *testing.T) {
	assert.Equal(t, context.Background(), Context(nil)) //nolint:staticcheck // that is what it is for
	assert.Equal(t, context.Background(), Context((*request)(nil)))
	assert.Equal(t, t.Context(), Context(t.Context()))
}

// request is a context as some frameworks have, and an error with a cause.
type request struct {
	context.Context //nolint:containedctx // a test's

	cause error
}

func (*request) Error() string   { return "a constant text" }
func (r *request) Unwrap() error { return r.cause }

// hostile is an error whose methods panic that look into it.
type hostile struct{}

func (hostile) Error() string { return "hostile" }
func (hostile) Is(error) bool { panic("is") }

type hostileAs struct{}

func (hostileAs) Error() string { return "hostile" }
func (hostileAs) As(any) bool   { panic("as") }

func TestExamineMeetsEveryPanicOfAnError(t *testing.T) {
	for _, err := range []error{(*request)(nil), hostile{}, hostileAs{}} {
		for _, err := range []error{err, fmt.Errorf("around: %w", err), errors.Join(io.EOF, err)} {
			assert.Panics(t, func() { Examine(err) }, "%T", err)
		}
	}
	for _, err := range []error{io.EOF, &request{}, &request{cause: io.EOF}, errors.Join(io.EOF, &request{})} {
		assert.NotPanics(t, func() { Examine(err) }, "%T", err)
	}
}
