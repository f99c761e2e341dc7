//go:build unix

package rig

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// CPU returns the processor time that the process has used.
func CPU(tb testing.TB) time.Duration {
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
