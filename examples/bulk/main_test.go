package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestThreeAreMissing(t *testing.T) {
	var got strings.Builder
	require.NoError(t, run(t.Context(), &got, 40_000))
	assert.Regexp(t, `^a day of the shop: 5760 records are in the bucket, 0 wait
Kissmetrics imported \d+ objects, and exports what it has
(missing: {"_p":"user-\d+","_t":\d+,"_n":"Order Completed",.*}
){3}sent 5760, arrived 5757, missing 3
$`, got.String())
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, &strings.Builder{}, 3600), context.Canceled)
}
