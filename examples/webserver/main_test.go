package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// visit runs the program, fetches the paths, ends it as a signal does, and
// returns what it printed.
func visit(t *testing.T, args []string, paths ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, args, write)
		_ = write.Close()
	}()
	var printed strings.Builder
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		printed.WriteString(lines.Text() + "\n")
		if address := regexp.MustCompile(`http://\S+/`).FindString(lines.Text()); strings.HasPrefix(lines.Text(), "serving") {
			for _, path := range paths {
				response, err := http.Get(address + path)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
			}
			http.DefaultClient.CloseIdleConnections()
			cancel()
		}
	}
	return printed.String(), <-done
}

func TestEveryRequestIsTracked(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	file := filepath.Join(t.TempDir(), "undelivered.jsonl")
	output, err := visit(t, []string{"-api-key", "k", "-base-url", server.URL, "-undelivered", file}, "", "about", "missing")
	require.NoError(t, err, output)
	var names, paths, statuses []string
	for _, request := range server.Requests() {
		names = append(names, request.Params.Get("_n"))
		paths = append(paths, request.Params.Get("path"))
		statuses = append(statuses, request.Params.Get("status"))
	}
	assert.ElementsMatch(t, []string{"Requested GET /{$}", "Requested GET /about", "Requested What Is Not There"}, names)
	assert.ElementsMatch(t, []string{"/", "/about", "/missing"}, paths)
	assert.ElementsMatch(t, []string{"200", "200", "404"}, statuses)
	require.NoFileExists(t, file)
}

func TestWithNoAccountTheServerInsideIsAsked(t *testing.T) {
	output, err := visit(t, []string{"-undelivered", filepath.Join(t.TempDir(), "u")}, "")
	require.NoError(t, err, output)
	assert.Contains(t, output, "the tracking server inside received 1 requests")
}

func TestWhatIsUndeliveredIsSavedAndSentByTheNextRun(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault { return &kissmetricstest.Fault{Status: 503} })
	file := filepath.Join(t.TempDir(), "undelivered.jsonl")
	args := []string{"-api-key", "k", "-base-url", server.URL, "-undelivered", file, "-grace", "20ms"}
	for run, path := range []string{"about", ""} { // the second run keeps what the first one saved
		output, err := visit(t, args, path)
		require.NoError(t, err, output)
		saved, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, run+1, strings.Count(string(saved), "\n"))
		assert.NotContains(t, string(saved), `"_k"`)
	}
	server.FailWith(nil)
	output, err := visit(t, args[:6])
	require.NoError(t, err, output)
	assert.Contains(t, output, "2 records of an earlier run")
	assert.Len(t, server.Events("webserver-visitor"), 2)
	_, err = os.Stat(file)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestABrokenFileIsLeftAsItIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "undelivered.jsonl")
	require.NoError(t, os.WriteFile(file, []byte("no JSON\n"), 0o600))
	_, err := visit(t, []string{"-undelivered", file})
	_, invalid := errors.AsType[*kissmetrics.ValidationError](err)
	require.True(t, invalid, "%v", err)
	require.FileExists(t, file)
}
