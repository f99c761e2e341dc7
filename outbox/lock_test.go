package outbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// On a full disk there is no room for a file that says who relays, and the relay must go
// on there, or nothing would ever be removed.
func TestTheLockTakesNoRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	l := openLock(path)
	t.Cleanup(func() { assert.NoError(t, l.close()) })
	for _, how := range []string{"BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"} {
		conn, err := l.begin(t.Context(), how, false)
		require.NoError(t, err)
		files, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, files, 1, how)
		info, err := files[0].Info()
		require.NoError(t, err)
		assert.Zero(t, info.Size(), how)
		release(conn)
	}
}
