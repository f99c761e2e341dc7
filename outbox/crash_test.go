package outbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// rounds is how often the crash tests kill their child, and how thorough those of
// damaged files are.
func rounds() int { return trial.Rounds(10, 300) }

// crashing sends until it is killed, while its relay delivers, and says what was
// accepted: the names of the records of each message, in one line.
func crashing(path, url string) error {
	box, err := outbox.Open(context.Background(), path, quick)
	if err != nil {
		return err
	}
	ctx := context.Background()
	var work sync.WaitGroup
	work.Go(func() { _ = box.Run(ctx, sender(url)) })
	for g := range 4 {
		work.Go(func() {
			for i := 0; ; i++ {
				var records []kissmetrics.Record
				line := "stored"
				for r := range 1 + i%3 {
					name := fmt.Sprintf("p%d-g%d-m%d-%d", os.Getpid(), g, i, r)
					records = append(records, record(name))
					line += " " + name
				}
				if err := box.Send(ctx, records); err != nil {
					line = "failed: " + err.Error()
				}
				if _, err := os.Stdout.WriteString(line + "\n"); err != nil {
					return
				}
			}
		})
	}
	work.Wait()
	return nil
}

func TestNothingIsLostWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	crash(t, trial.NewDice(t), nil)
}

func TestNothingIsLostWhenTheProcessIsKilledAndHalfTheRequestsFail(t *testing.T) {
	t.Parallel()
	dice := trial.NewDice(t)
	crash(t, dice, func(*http.Request) *kissmetricstest.Fault {
		switch dice.Below(6) {
		case 0:
			return &kissmetricstest.Fault{Status: http.StatusServiceUnavailable}
		case 1:
			return &kissmetricstest.Fault{Status: http.StatusInternalServerError, Recorded: true}
		case 2:
			return &kissmetricstest.Fault{Cut: kissmetricstest.CutReset}
		}
		return nil
	})
}

func crash(t *testing.T, dice *trial.Dice, fault func(*http.Request) *kissmetricstest.Fault) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	server := kissmetricstest.NewServer(t)
	server.FailWith(fault)
	accepted := make(map[string]bool)
	for range rounds() {
		cmd := child(t, "crash", path, server.URL)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := make(chan string)
		go func() {
			defer close(lines)
			// A line that was cut off by the end says nothing.
			for r := bufio.NewReader(stdout); ; {
				line, err := r.ReadString('\n')
				if err != nil {
					_, _ = io.Copy(io.Discard, r)
					return
				}
				lines <- strings.TrimSuffix(line, "\n")
			}
		}()
		// At a random moment: some while it opens the file, most while it works,
		// however long the machine takes to come to that.
		moment := dice.UpTo(90 * time.Millisecond)
		opening := dice.Below(4) == 0
		kill := time.NewTimer(moment)
		if !opening {
			kill.Reset(time.Minute)
		}
		for killed := false; ; {
			select {
			case <-kill.C:
				require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
				killed = true
				continue
			case line, ok := <-lines:
				if ok {
					names, stored := strings.CutPrefix(line, "stored ")
					require.True(t, stored, "%s", line)
					if !opening {
						opening = true
						kill.Reset(moment)
					}
					for name := range strings.FieldsSeq(names) {
						accepted[name] = true
					}
					continue
				}
			}
			require.True(t, killed, "the child has ended by itself")
			break
		}
		require.ErrorContains(t, cmd.Wait(), "killed")
	}
	server.FailWith(nil)
	box := open(t, path)
	left, err := box.Stats(t.Context())
	require.NoError(t, err)
	deliverWithin(t, time.Minute+time.Duration(left.Waiting)*time.Millisecond, box, sender(server.URL))

	arrived := make(map[string]int)
	for _, event := range server.Events("ann") {
		arrived[event.Name]++
	}
	missing, repeated := 0, 0
	for name := range accepted {
		if arrived[name] == 0 {
			missing++
		}
	}
	for _, n := range arrived {
		if n > 1 {
			repeated++
		}
	}
	assert.Zero(t, missing, "records are lost, of %d", len(accepted))
	assert.Zero(t, repeated, "Kissmetrics ignores a repeat")
	for _, ignored := range server.Ignored() {
		assert.Contains(t, []kissmetricstest.Reason{kissmetricstest.ReasonDuplicateEvent, kissmetricstest.ReasonDuplicateValue}, ignored.Reason)
	}
	require.Greater(t, len(accepted), rounds(), "the child got to send something")
	for p, err := range box.Parked(t.Context()) {
		require.NoError(t, err)
		assert.Fail(t, "something is parked", "%s", p.Reason)
	}
	t.Logf("%d rounds, %d records accepted, %d arrived, %d of them after the last round, %d requests",
		rounds(), len(accepted), len(arrived), left.Waiting, len(server.Requests()))
}

// relaying sends a record and delivers until it is killed, and says that it has
// begun.
func relaying(path, url string) error {
	box, err := outbox.Open(context.Background(), path, quick)
	if err != nil {
		return err
	}
	if err := box.Send(context.Background(), []kissmetrics.Record{record("theirs")}); err != nil {
		return err
	}
	if _, err := fmt.Println("open"); err != nil {
		return err
	}
	return box.Run(context.Background(), sender(url))
}

func TestAnotherProcessTakesOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	theirs, ours := kissmetricstest.NewServer(t), kissmetricstest.NewServer(t)
	cmd := child(t, "relay", path, theirs.URL)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)

	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("first")}))
	require.Eventually(t, func() bool { return len(theirs.Events("ann")) == 2 }, time.Minute, time.Millisecond,
		"the other process delivers")
	next := sender(ours.URL)
	defer next.CloseIdleConnections()
	stop := start(t, box, next)
	for i := range 5 {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(strconv.Itoa(i))}))
	}
	require.NoError(t, box.Flush(t.Context()), "Flush sees what another process delivers")
	require.Len(t, theirs.Events("ann"), 7)
	require.Empty(t, ours.Events("ann"), "only one delivers")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("last")}))
	require.NoError(t, box.Flush(t.Context()))
	require.Len(t, ours.Events("ann"), 1)
	stop()
}
