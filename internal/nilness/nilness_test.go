package nilness

import (
	"context"
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
	assert.Equal(t, t.Context(), Context(t.Context()))
}
