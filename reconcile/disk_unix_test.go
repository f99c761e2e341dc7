//go:build linux || darwin

package reconcile_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// TestAFullDiskIsToldOnce, wherever it comes, although both sides feel it. A limit of
// the size of files, of a process of its own, stands for the disk.
func TestAFullDiskIsToldOnce(t *testing.T) {
	const child = "RECONCILE_TEST_DISK"
	if os.Getenv(child) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestAFullDiskIsToldOnce$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=full")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // which would end the process
	var sent, exported []kissmetrics.Record
	for i := range 500 { // none of which finds a partner, so that each pass writes all of them
		sent = append(sent, kissmetrics.NewEvent("ann", "a", at(2*i)))
		exported = append(exported, kissmetrics.NewEvent("bob", "b", at(2*i)))
	}
	dir := t.TempDir()
	r, err := reconcile.New(reconcile.WithTempDir(dir))
	require.NoError(t, err)
	full, room := 0, false
	for limit := uint64(1000); !room; limit += 100 {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: 1 << 30}))
		room = true
		for _, err := range r.Differences(t.Context(), sequence(sent), sequence(exported)) {
			if err != nil {
				room = false
				full++
				assert.Equal(t, 1, strings.Count(err.Error(), syscall.EFBIG.Error()), "%v", err)
				assert.Contains(t, err.Error(), dir+":")
				assert.True(t, errors.Is(err, syscall.EFBIG))
			}
		}
	}
	assert.Greater(t, full, 10)
}
