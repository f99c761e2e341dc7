package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(fileVariable) != "" { // the test is the program, and hence the shop as well
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestNothingIsMissing(t *testing.T) {
	var got strings.Builder
	require.NoError(t, start(t.Context(), &got))
	assert.Equal(t, `the shop was killed while it took orders
the shop was killed while it took orders
at least 20 orders: true; events missing: 0; events too many: 0
`, got.String())
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, &strings.Builder{}), context.Canceled)
}
