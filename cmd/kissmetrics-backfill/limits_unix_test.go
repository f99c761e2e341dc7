//go:build linux || darwin

package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// limitFiles makes every write fail that would make a file of this process larger.
func limitFiles(bytes uint64) error {
	signal.Ignore(syscall.SIGXFSZ) // or such a write would end the process
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes})
}

// A disk that is full is one on which no file may become larger than this.
func TestDiskFull(t *testing.T) {
	const n = 3000
	content, refused := withRefused(n)
	for name, test := range map[string]struct {
		args  []string
		limit string
		want  string
	}{
		"when an import file is written": {[]string{"-import", "out"}, "100000", "writing the import file: write out/import-000001.json.partial: "},
		"when refused lines are written": {[]string{"-import", "out", "-file-size", "0.01"}, "10500", "writing the refused lines: write events.refused: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			require.NoError(t, os.WriteFile("events", []byte(content), 0o600))
			args := append(test.args, "-resume", "events")
			child := often(command(t, args...))
			child.Env = append(child.Env, asProgram+"_FILE_BYTES="+test.limit)
			var stderr strings.Builder
			child.Stderr = &stderr
			require.Error(t, child.Run())
			assert.Equal(t, 1, child.ProcessState.ExitCode())
			assert.Contains(t, stderr.String(), test.want+"file too large; continue after line ")
			assert.Equal(t, 1, strings.Count(stderr.String(), "file too large"), "it is said once: %s", stderr.String())

			c, ok := readCheckpoint("events.checkpoint")
			require.True(t, ok)
			assert.Contains(t, stderr.String(), fmt.Sprintf("continue after line %d with -resume\n", c.State.Line))
			assert.NoFileExists(t, "events.checkpoint.tmp")
			o := backfill(t.Context(), nil, nil, args...)
			require.NoError(t, o.err)
			assert.Equal(t, allNumbers(n), imported(t, "out"))
			assert.Len(t, refusedLines(t, "events.refused"), refused)
		})
	}
}

// A pipe that nobody writes to does not keep a run from being stopped.
func TestInterruptedWhileItWaitsForInput(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	child := command(t, "-api-key", secret, "-base-url", server.URL, path)
	require.NoError(t, child.Start())
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer func() { _ = pipe.Close() }()
	_, err = io.WriteString(pipe, events(100))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(server.Requests()) > 10 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, child.Process.Signal(os.Interrupt))
	require.ErrorContains(t, child.Wait(), "exit status 1")
	c, ok := readCheckpoint(path + ".checkpoint")
	require.True(t, ok)
	assert.Positive(t, c.State.Line)
	assertEvents(t, server, int(c.State.Line))
}
