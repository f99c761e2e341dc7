package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// often makes a child store a checkpoint all the time.
func often(c *exec.Cmd) *exec.Cmd {
	c.Env = append(c.Env, asProgram+"_SAVE_EVERY=5ms")
	return c
}

// killAgainAndAgain starts a command until one comes to its end, and kills each
// other at a random moment, later and later, so that also a slow machine comes to
// the end. It returns how many were killed.
func killAgainAndAgain(t *testing.T, most time.Duration, start func() *exec.Cmd) (killed int) {
	t.Helper()
	dice := trial.NewDice(t)
	for {
		child := start()
		var stderr strings.Builder
		child.Stderr = &stderr
		require.NoError(t, child.Start())
		after := dice.UpTo(most + most*time.Duration(killed)/6)
		timer := time.AfterFunc(after, func() { _ = child.Process.Kill() })
		err := child.Wait()
		timer.Stop()
		if err == nil {
			return killed
		}
		require.Equal(t, -1, child.ProcessState.ExitCode(), "it failed by itself: %s", stderr.String())
		killed++
		require.Less(t, killed, 500, "it comes no further")
	}
}

// refusedLines returns how often each line is in the file of refused lines.
func refusedLines(t *testing.T, path string) map[string]int {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := map[string]int{}
	for line := range strings.Lines(string(data)) {
		number, _, ok := strings.Cut(line, ",")
		require.True(t, ok && strings.HasSuffix(line, "}\n"), "a whole line: %q", line)
		lines[number]++
	}
	return lines
}

// withRefused returns n events, and a line that is refused behind every tenth.
func withRefused(n int) (content string, refused int) {
	var b strings.Builder
	for i := range n {
		b.WriteString(event(i))
		if i%10 == 9 {
			b.WriteString(`{"type":"track"}` + "\n")
			refused++
		}
	}
	return b.String(), refused
}

func TestKilledAtRandomMomentsWhileWritingFiles(t *testing.T) {
	n := trial.Rounds(10_000, 60_000)
	dir := filepath.Join(t.TempDir(), "out")
	content, refused := withRefused(n)
	path := writeFile(t, "events", content)
	killed := killAgainAndAgain(t, 120*time.Millisecond, func() *exec.Cmd {
		return often(command(t, "-import", dir, "-file-size", "0.05", "-resume", path))
	})
	t.Logf("killed %d times", killed)
	assert.Equal(t, allNumbers(n), imported(t, dir), "nothing is lost, repeated or in another order")
	lines := refusedLines(t, path+".refused")
	assert.Len(t, lines, refused)
	for line, times := range lines {
		assert.Equal(t, 1, times, line)
	}
	assert.NoFileExists(t, path+".checkpoint.lock")
}

func TestKilledAtRandomMomentsWhileDelivering(t *testing.T) {
	n := trial.Rounds(800, 4000)
	server := kissmetricstest.NewServer(t)
	content, refused := withRefused(n)
	const others = `{"type":"identify","userId":"ada","traits":{"plan":"pro"},"timestamp":"2026-03-02T09:00:00Z"}
{"type":"alias","userId":"ada","previousId":"browser-1","timestamp":"2026-03-02T09:00:00Z"}
{"type":"track","userId":"ada","event":"Order Completed","properties":{"products":[{"sku":"MUG"},{"sku":"TEE"}]},"timestamp":"2026-03-02T09:00:00Z"}
`
	path := writeFile(t, "events", others+content)
	killed := killAgainAndAgain(t, 250*time.Millisecond, func() *exec.Cmd {
		return often(command(t, "-api-key", secret, "-base-url", server.URL, "-rate", "3000", "-resume", path))
	})
	assertEvents(t, server, n)
	assert.Len(t, server.Events("ada"), 1)
	assert.Len(t, server.History("ada", "sku"), 2)
	assert.Len(t, server.History("ada", "plan"), 1)
	assert.ElementsMatch(t, []string{"ada", "browser-1"}, server.Identities("ada"))
	for _, ignored := range server.Ignored() {
		assert.Contains(t, []kissmetricstest.Reason{kissmetricstest.ReasonDuplicateEvent, kissmetricstest.ReasonDuplicateValue}, ignored.Reason,
			"what is repeated is what Kissmetrics ignores")
	}
	t.Logf("killed %d times, %d of %d requests were repeats", killed, len(server.Ignored()), len(server.Requests()))
	lines := refusedLines(t, path+".refused")
	assert.Len(t, lines, refused)
	for line, times := range lines {
		assert.Equal(t, 1, times, line)
	}
}

// planter plants something when so many bytes were read of it.
type planter struct {
	io.Reader

	after int
	plant func()
}

func (p *planter) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b[:min(len(b), 1000)])
	if p.after -= n; p.after < 0 && p.plant != nil {
		p.plant()
		p.plant = nil
	}
	return n, err
}

func TestDiskFullWhenACheckpointIsWritten(t *testing.T) {
	const n = 3000
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full, which Linux has")
	}
	for name, args := range map[string][]string{
		"delivering":    {"-api-key", secret, "-rate", "0"},
		"writing files": {"-import", "out", "-file-size", "0.05"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			content, refused := withRefused(n)
			doer := &answering{numbers: map[string]int{}}
			args := append(args, "-resume", "-")
			stdin := &planter{strings.NewReader(content), len(content) / 2, func() {
				_ = os.Symlink("/dev/full", "backfill.checkpoint.tmp")
			}}

			o := backfill(t.Context(), stdin, doer, args...)

			require.ErrorIs(t, o.err, syscall.ENOSPC)
			c, ok := readCheckpoint("backfill.checkpoint")
			require.True(t, ok)
			assert.Regexp(t, `^(line \d+: )?writing the checkpoint: write backfill.checkpoint.tmp: no space left on device; continue after line `+
				fmt.Sprint(c.State.Line)+" with -resume$", o.err.Error())
			assert.NoFileExists(t, "backfill.checkpoint.tmp", "which would take the room that there is left")

			o = backfill(t.Context(), strings.NewReader(content), doer, args...)
			require.NoError(t, o.err)
			if args[0] == "-import" {
				assert.Equal(t, allNumbers(n), imported(t, "out"))
			} else {
				doer.assertEach(t, n, 2)
			}
			assert.Len(t, refusedLines(t, "backfill.refused"), refused)
		})
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	path := writeFile(t, "events", events(100))
	arrived, goOn := make(chan struct{}), make(chan struct{})
	doer := &answering{numbers: map[string]int{}, each: func(_ context.Context, nth int) error {
		if nth == 50 {
			close(arrived)
			<-goOn
		}
		return nil
	}}
	args := []string{"-api-key", secret, "-rate", "0", "-workers", "1", path}
	first := make(chan *outcome)
	go func() { first <- backfill(t.Context(), nil, doer, args...) }()
	<-arrived
	for _, args := range [][]string{args, append([]string{"-resume"}, args...)} {
		o := backfill(t.Context(), nil, &answering{}, args...)
		require.ErrorContains(t, o.err, "another run is using the checkpoint "+path)
		assert.Equal(t, 2, exitCode(o.err))
		assert.Empty(t, o.stdout.String())
	}
	close(goOn)
	require.NoError(t, (<-first).err)
	doer.assertEach(t, 100, 1)
	assert.NoFileExists(t, path+".checkpoint.lock")
}

// A run that begins may find what another left or is about to go on with.
func TestNothingOfAnotherRunIsLost(t *testing.T) {
	t.Chdir(t.TempDir())
	const n = 1000
	content := events(n) + "{\n"
	stdin := io.MultiReader(strings.NewReader("{\n"+content[:40_000]), &planter{Reader: strings.NewReader("")})
	ctx, cancel := context.WithCancel(t.Context())
	o := backfill(ctx, &planter{stdin, 30_000, cancel}, nil, "-import", "out", "-")
	require.ErrorIs(t, o.err, errInterrupted)
	written, err := os.ReadFile("out/import-000001.json.partial")
	require.NoError(t, err)
	require.NotEmpty(t, written)
	refused, err := os.ReadFile("backfill.refused")
	require.NoError(t, err)
	require.NotEmpty(t, refused)

	for _, resume := range []string{"-resume", "-resume=false"} {
		o = backfill(t.Context(), strings.NewReader(content), nil, "-import", "out", "-checkpoint", "other", "-refused", "other.refused", resume, "-")
		require.ErrorContains(t, o.err, "out holds the files of another run")
		o = backfill(t.Context(), strings.NewReader(content), nil, "-import", "new", "-checkpoint", "other", resume, "-")
		require.ErrorContains(t, o.err, "refused lines of another run")
	}
	after, err := os.ReadFile("out/import-000001.json.partial")
	require.NoError(t, err)
	assert.Equal(t, written, after)
	after, err = os.ReadFile("backfill.refused")
	require.NoError(t, err)
	assert.Equal(t, refused, after)

	o = backfill(t.Context(), strings.NewReader("{\n"+content), nil, "-import", "out", "-resume", "-")
	require.NoError(t, o.err)
	assert.Equal(t, allNumbers(n), imported(t, "out"))
	assert.Len(t, refusedLines(t, "backfill.refused"), 2)
}

// A crash may come between any two steps: as long as the last file is not whole,
// no checkpoint says that all is done.
func TestDoneIsSaidWithTheLastFile(t *testing.T) {
	t.Chdir(t.TempDir())
	f, err := parseFlags([]string{"-import", "out", "-checkpoint", "c", "-"}, io.Discard)
	require.NoError(t, err)
	in, err := openInput(f, io.NopCloser(strings.NewReader(events(10))))
	require.NoError(t, err)
	saved, err := f.load()
	require.NoError(t, err)
	rejects, err := openRejects("refused", saved)
	require.NoError(t, err)
	defer rejects.close()
	p := &program{stderr: io.Discard, every: time.Hour, saveEvery: time.Hour}
	j := &job{flags: f, program: p, in: in, rejects: rejects, checkpoint: saved, tracker: newTracker(saved.state)}
	require.NoError(t, j.open())
	out := j.out.(*files)
	full := out.full
	ended := 0
	out.full = func() error {
		before, ok := readCheckpoint("c")
		require.True(t, ok)
		assert.False(t, before.Done, "a run that goes on from here would leave the file as it is")
		err := full()
		after, ok := readCheckpoint("c")
		assert.True(t, ok && after.Done && after.File.Full)
		ended++
		return err
	}
	require.NoError(t, j.run(t.Context(), t.Context()))
	assert.Equal(t, 1, ended)
	assert.Equal(t, allNumbers(10), imported(t, "out"))
}

// What has been appended to the input since is not taken for sent.
func TestInputThatHasGrown(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, n := range []int{0, 100, 150, 150} {
		require.NoError(t, os.WriteFile("events", []byte(events(n)), 0o600))
		o := backfill(t.Context(), nil, nil, "-import", "out", "-resume", "events")
		require.NoError(t, o.err)
		assert.Equal(t, allNumbers(n), imported(t, "out"))
		assert.Contains(t, o.stdout.String(), fmt.Sprintf("%d lines, %d records", n, n))
	}
}

func TestCheckpointOfAnotherServer(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("events", []byte(events(5)), 0o600))
	require.NoError(t, backfill(t.Context(), nil, nil, "-rate", "0", "-checkpoint", "c", "events").err)
	doer := &answering{numbers: map[string]int{}}
	for _, server := range []string{"https://trk.kissmetrics.com", "https://trk.kissmetrics.io"} {
		o := backfill(t.Context(), nil, doer, "-api-key", secret, "-base-url", server, "-checkpoint", "c", "-resume", "events")
		require.ErrorContains(t, o.err, "another file, -import, -base-url")
		assert.Equal(t, 2, exitCode(o.err))
		assert.Empty(t, doer.numbers)
	}
}
