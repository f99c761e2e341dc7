package reconcile_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// archiveDirectory is where the child process of a crash test has its archive.
const archiveDirectory = "RECONCILE_TEST_ARCHIVE"

// telling is a sender that says what it is given.
type telling struct{}

func (telling) Send(_ context.Context, records []kissmetrics.Record) error {
	var line strings.Builder
	line.WriteString("sent")
	for _, r := range records {
		line.WriteString(" " + r.Name)
	}
	_, err := os.Stdout.WriteString(line.String() + "\n")
	return err
}

// archiving sends through an archive until it is killed.
func archiving(dir string) error {
	a, err := reconcile.NewArchive(dir, telling{}, reconcile.WithFileSize(2000))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var work sync.WaitGroup
	for g := range 4 {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				var records []kissmetrics.Record
				for r := range 1 + i%3 {
					records = append(records, kissmetrics.NewEvent("ann", fmt.Sprintf("p%d-g%d-m%d-%d", os.Getpid(), g, i, r), at(0)))
				}
				if err := a.Send(ctx, records); err != nil {
					cancel(err)
				}
			}
		})
	}
	work.Wait()
	return context.Cause(ctx)
}

func TestACrashLeavesInTheArchiveWhatWasSent(t *testing.T) {
	t.Parallel()
	dir, rounds, dice := t.TempDir(), trial.Rounds(3, 100), trial.NewDice(t)
	var sent []string
	for range rounds {
		sent = append(sent, archiveUntilKilled(t, dir, dice)...)
	}
	found, torn := make(map[string]bool), 0
	files, err := reconcile.Open(dir)
	require.NoError(t, err)
	for r, err := range files.Records() {
		if err != nil {
			torn++
			continue
		}
		require.False(t, found[r.Name], "%s is there twice", r.Name)
		found[r.Name] = true
	}
	for _, name := range sent {
		require.True(t, found[name], "%s was sent", name)
	}
	assert.LessOrEqual(t, torn, rounds, "no more than the last line before a crash")
	require.Greater(t, len(files.Paths()), rounds, "files were ended, too")
	t.Logf("%d rounds: %d records sent, %d in %d files, %d torn lines", rounds, len(sent), len(found), len(files.Paths()), torn)
}

// archiveUntilKilled returns the names of what a child process has sent.
func archiveUntilKilled(t *testing.T, dir string, dice *trial.Dice) (sent []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), archiveDirectory+"="+dir)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines, many := bufio.NewReader(stdout), 50+dice.Below(200) // of more than one file
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n') // one that was cut off by the end says nothing
		if err != nil {
			break
		}
		names, ok := strings.CutPrefix(line, "sent ")
		require.True(t, ok, "%s", line)
		sent = append(sent, strings.Fields(names)...)
		if n == many {
			kill := time.AfterFunc(dice.UpTo(2*time.Millisecond), func() { _ = cmd.Process.Kill() })
			defer kill.Stop()
		}
	}
	require.ErrorContains(t, cmd.Wait(), "killed")
	return sent
}
