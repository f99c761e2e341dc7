package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// answering is a Doer that answers every request with 200, and counts how often
// each number came.
type answering struct {
	mu      sync.Mutex
	numbers map[string]int
	each    func(ctx context.Context, nth int) error // called before, where it is not nil
	nth     int
}

func (a *answering) Do(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.nth++
	nth := a.nth
	a.mu.Unlock()
	if a.each != nil {
		if err := a.each(r.Context(), nth); err != nil {
			return nil, err
		}
	}
	if a.numbers != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.numbers[r.URL.Query().Get("number")]++
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func (a *answering) assertEach(t *testing.T, n, times int) {
	t.Helper()
	assert.Len(t, a.numbers, n)
	for i := range n {
		got := a.numbers[strconv.Itoa(i)]
		assert.True(t, got >= 1 && got <= times, "%d came %d times", i, got)
	}
}

func readCheckpoint(path string) (c stored, ok bool) {
	data, err := os.ReadFile(path)
	return c, err == nil && json.Unmarshal(data, &c) == nil
}

func TestStoppedAndResumed(t *testing.T) {
	const n = 3000
	for name, content := range map[string]string{"plain": events(n), "gzipped": zipped(t, events(n))} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "events", content)
			args := []string{"-api-key", secret, "-rate", "0", "-resume", path}
			doer := &answering{numbers: map[string]int{}}
			for stops := range 3 { // at a place further on each time
				ctx, cancel := context.WithCancel(t.Context())
				doer.nth, doer.each = 0, func(_ context.Context, nth int) error {
					if nth == 100 {
						cancel()
					}
					return nil
				}
				o := backfill(ctx, nil, doer, args...)
				cancel()
				if o.err == nil { // the queue took all that was left
					break
				}
				require.ErrorIs(t, o.err, errInterrupted)
				c, ok := readCheckpoint(path + ".checkpoint")
				require.True(t, ok)
				require.False(t, c.Done)
				assert.Equal(t, int64(len(doer.numbers)), c.State.Line, "stop %d: what was begun was delivered", stops)
				assert.ErrorContains(t, o.err, fmt.Sprintf("after line %d with", c.State.Line))
			}
			doer.each = nil
			o := backfill(t.Context(), nil, doer, args...)
			require.NoError(t, o.err)
			doer.assertEach(t, n, 1)
			assert.Contains(t, o.stdout.String(), "3,000 lines, 3,000 records")
		})
	}
}

// With a server that does not answer, a second Ctrl-C or the end of the grace
// gives up what has begun. Lines behind one that has no outcome come again.
func TestGivenUpAndResumed(t *testing.T) {
	const n, workers = 500, 8
	path := writeFile(t, "events", events(n))
	args := []string{"-api-key", secret, "-rate", "0", "-grace", "10ms", "-resume", path}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	doer := &answering{numbers: map[string]int{}, each: func(ctx context.Context, nth int) error {
		switch {
		case nth == 5: // hangs, while those behind it are answered
			<-ctx.Done()
			return ctx.Err()
		case nth >= 200:
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	o := backfill(ctx, nil, doer, args...)
	require.ErrorIs(t, o.err, errInterrupted)
	c, ok := readCheckpoint(path + ".checkpoint")
	require.True(t, ok)
	assert.Less(t, c.State.Line, int64(5+workers), "no line is passed that has no outcome")

	doer.each = nil
	o = backfill(t.Context(), nil, doer, args...)
	require.NoError(t, o.err)
	doer.assertEach(t, n, 2)
	assert.Contains(t, o.stdout.String(), "500 lines, 500 records delivered")
}

// command returns the program as a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

func TestKilledWhileDelivering(t *testing.T) {
	const n = 1500
	server := kissmetricstest.NewServer(t)
	path := writeFile(t, "events", `{"type":"track"}`+"\n"+events(n))
	live := []string{"-api-key", secret, "-base-url", server.URL}
	child := command(t, append(live, "-rate", "500", path)...)
	require.NoError(t, child.Start())
	require.Eventually(t, func() bool {
		c, ok := readCheckpoint(path + ".checkpoint")
		return ok && c.State.Line > 100
	}, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	c, ok := readCheckpoint(path + ".checkpoint")
	require.True(t, ok)
	before := len(server.Requests())
	require.Less(t, before, n)

	o := backfill(t.Context(), nil, nil, append(live, "-rate", "0", "-resume", path)...)

	require.NoError(t, o.err)
	assertEvents(t, server, n)
	again := len(server.Requests()) - n
	assert.LessOrEqual(t, again, before-int(c.State.Line)+1+8, "only what lay behind the checkpoint was repeated")
	for _, ignored := range server.Ignored() { // and Kissmetrics takes it for what it is
		assert.Contains(t, []kissmetricstest.Reason{kissmetricstest.ReasonDuplicateEvent, kissmetricstest.ReasonDuplicateValue}, ignored.Reason)
	}
	assert.Contains(t, o.stdout.String(), "sent            1,500 lines, 1,500 records")
	refused, err := os.ReadFile(path + ".refused")
	require.NoError(t, err)
	assert.Equal(t, 1, bytes.Count(refused, []byte("\n")), "a refused line is not repeated either")
}

func TestResumeOfSomethingElse(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	doer := &answering{numbers: map[string]int{}, each: func(_ context.Context, nth int) error {
		if nth == 2000 { // well behind the beginning that is compared
			cancel()
		}
		return nil
	}}
	path := writeFile(t, "events", events(9000))
	resume := []string{"-api-key", secret, "-rate", "0", "-resume"}
	require.ErrorIs(t, backfill(ctx, nil, doer, append(resume, path)...).err, errInterrupted)
	doer.each = nil
	c, _ := readCheckpoint(path + ".checkpoint")
	for name, test := range map[string]struct {
		content string
		flags   []string
		want    string
	}{
		"another beginning":   {"\n" + events(9000), nil, errOtherInput.Error()},
		"it became shorter":   {events(100), nil, "it is shorter"},
		"gzipped and shorter": {zipped(t, events(100)), nil, "it is shorter"},
		"a line in its midst": {events(50) + "\n" + events(9000)[len(events(50)):], nil, "in the middle of a line"},
		"another style":       {events(9000), []string{"-prefix", "hyphen"}, "another file, -import, -base-url, -prefix, -strict or -now"},
		"another time":        {events(9000), []string{"-now", "2026-03-02T09:30:00Z"}, "another file, -import, -base-url, -prefix, -strict or -now"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
			o := backfill(t.Context(), nil, doer, append(append(resume, test.flags...), path)...)
			require.ErrorContains(t, o.err, test.want)
		})
	}
	after, _ := readCheckpoint(path + ".checkpoint")
	assert.Equal(t, c, after, "none of these changed the checkpoint")
}

func TestADamagedCheckpointIsAnError(t *testing.T) {
	for name, lines := range map[string]string{"plain": events(200), "gzipped": zipped(t, events(200))} {
		path := writeFile(t, "events", lines)
		arguments := []string{"-import", t.TempDir(), "-resume", path}
		require.NoError(t, backfill(t.Context(), nil, nil, arguments...).err)
		whole, err := os.ReadFile(path + ".checkpoint")
		require.NoError(t, err)
		for of, to := range map[string]string{
			`"offset": \d+`: `"offset": -5`, `"bytes": \d+`: `"bytes": -1`, `"line": \d+`: `"line": -9223372036854775808`, `"refused_bytes": \d+`: `"refused_bytes": -1`,
			`"number": \d+`: `"number": -1`, `"offset": (\d+)`: `"offset": 9223372036854775807`, `"offset": .*`: `"offset": 1e99,`, `"head"`: `"tail"`, `}\s*$`: ``, `^`: "\x00", `"done": true`: `"done": "yes"`,
		} {
			t.Run(name+" "+of, func(t *testing.T) {
				damaged := regexp.MustCompile(of).ReplaceAll(whole, []byte(to))
				require.NotEqual(t, whole, damaged)
				require.NoError(t, os.WriteFile(path+".checkpoint", damaged, 0o600))
				require.Error(t, backfill(t.Context(), nil, nil, arguments...).err)
				after, err := os.ReadFile(path + ".checkpoint")
				require.NoError(t, err)
				require.Equal(t, damaged, after, "it is left as it is")
			})
		}
	}
}

func TestTerminal(t *testing.T) {
	child := command(t)
	terminal, err := pty.StartWithSize(child, &pty.Winsize{Rows: 40, Cols: 120})
	require.NoError(t, err)
	defer func() { _ = terminal.Close() }()
	shown, _ := io.ReadAll(terminal) // fails at its end, when the process has ended
	require.NoError(t, child.Wait())
	assert.Regexp(t, `100% \|█+\| \(.*\).* 13 lines, [\d,]+/s, 3 refused`, string(shown))

	child = command(t)
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	require.NoError(t, child.Run())
	assert.Contains(t, stderr.String(), "13 lines (100%)")
	assert.NotContains(t, stdout.String()+stderr.String(), "\x1b")
	assert.NotContains(t, stdout.String()+stderr.String(), "\r")
}

func TestInterruptedByASignal(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	path := writeFile(t, "events", events(5000))
	live := []string{"-api-key", secret, "-base-url", server.URL}
	child := command(t, append(live, "-rate", "100", path)...)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	require.NoError(t, child.Start())
	require.Eventually(t, func() bool { return len(server.Requests()) > 20 }, 30*time.Second, 5*time.Millisecond)
	// The second one does not wait for what is in the queue. A third would end the
	// process, and two of one kind may be one to it.
	require.NoError(t, child.Process.Signal(os.Interrupt))
	require.NoError(t, child.Process.Signal(syscall.SIGTERM))
	require.ErrorContains(t, child.Wait(), "exit status 1")
	assert.Contains(t, stderr.String(), "kissmetrics-backfill: interrupted; continue after line ")

	o := backfill(t.Context(), nil, nil, append(live, "-rate", "0", "-resume", path)...)
	require.NoError(t, o.err)
	assertEvents(t, server, 5000)
}
