package rig

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// CPU returns the processor time that the process has used.
func CPU(tb testing.TB) time.Duration {
	var made, ended, kernel, user syscall.Filetime
	process, err := syscall.GetCurrentProcess()
	require.NoError(tb, err)
	require.NoError(tb, syscall.GetProcessTimes(process, &made, &ended, &kernel, &user))
	return duration(kernel) + duration(user)
}

// duration is what a Filetime stands for where it is not an instant: so many 100
// nanoseconds.
func duration(t syscall.Filetime) time.Duration {
	return 100 * time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime))
}
