package durable_test

import (
	"io/fs"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/durable"
)

func TestADirectoryIsSynced(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, durable.Sync(dir))
	if runtime.GOOS != "windows" {
		assert.ErrorIs(t, durable.Sync(filepath.Join(dir, "none")), fs.ErrNotExist)
	}
}
