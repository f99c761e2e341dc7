package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics/internal/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const want = `order-1 over 25: committed, with its event
order-2 over 40: committed, with its event
order-1 over 99: rolled back, with its event
order-3 over  0: rolled back, with its event
order-4 over 15: committed, with its event

orders in the database:      [order-1 order-2 order-4]
orders Kissmetrics knows of: [order-1 order-2 order-4]
`

func TestOutput(t *testing.T) {
	var got strings.Builder
	err := run(t.Context(), "", &got)
	if errors.Is(err, postgres.ErrNotInstalled) {
		t.Skip(err)
	}
	require.NoError(t, err)
	assert.Equal(t, want, got.String())
}

func TestDatabaseURL(t *testing.T) {
	cluster, err := postgres.Start(t.Context())
	if errors.Is(err, postgres.ErrNotInstalled) {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer func() { assert.NoError(t, cluster.Remove()) }()
	for range 2 { // it leaves the database as it was
		var got strings.Builder
		require.NoError(t, run(t.Context(), cluster.URL("postgres"), &got))
		assert.Equal(t, want, got.String())
	}
}

func TestNoDatabase(t *testing.T) {
	require.Error(t, run(t.Context(), "postgres:///none?host="+t.TempDir(), &strings.Builder{}))
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, "", &strings.Builder{}); !errors.Is(err, postgres.ErrNotInstalled) {
		require.ErrorIs(t, err, context.Canceled)
	}
}
