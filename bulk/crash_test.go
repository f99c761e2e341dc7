package bulk_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

// crashing sends and uploads until it is killed, and says what was accepted: the names
// of the records of each message, in one line.
func crashing(dir, url string) error {
	ctx := context.Background()
	s, err := bulk.Open(ctx, dir, bucketOf(url), quick, bulk.WithInterval(20*time.Millisecond))
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	work.Go(func() { _ = s.Run(ctx) })
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
				if err := s.Send(ctx, records); err != nil {
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

func TestACrashLosesAndRepeatsNothing(t *testing.T) { crash(t, trial.NewDice(t), nil) }

func TestACrashLosesAndRepeatsNothingWhenUploadsFail(t *testing.T) {
	dice := trial.NewDice(t)
	crash(t, dice, func(w http.ResponseWriter, r *http.Request) bool {
		switch dice.Below(6) {
		case 0:
			http.Error(w, "", http.StatusServiceUnavailable)
			return true
		case 1:
			tear(w, r)
			return true
		}
		return false
	})
}

func crash(t *testing.T, dice *trial.Dice, fault func(http.ResponseWriter, *http.Request) bool) {
	t.Parallel()
	dir, s3, rounds := t.TempDir(), newServer(t), trial.Rounds(6, 30)
	s3.failWith(fault)
	accepted := make(map[string]bool)
	for range rounds {
		for _, name := range crashOnce(t, dice, dir, s3.URL) {
			accepted[name] = true
		}
	}
	s3.failWith(nil)
	s := open(t, dir, bucketOf(s3.URL))
	stop := start(t, s)
	flush(t, s)
	stop()
	arrived, messages := make(map[string]int), make(map[string]int)
	for _, r := range s3.records(t) {
		arrived[r.Name]++
		messages[r.Name[:strings.LastIndexByte(r.Name, '-')]]++
	}
	missing := 0
	for name := range accepted {
		if arrived[name] == 0 {
			missing++
		}
	}
	assert.Zero(t, missing, "records are lost, of %d", len(accepted))
	for name, n := range arrived {
		require.Equal(t, 1, n, "%s is there more than once", name)
	}
	for message, n := range messages {
		var pid, g, i int
		_, err := fmt.Sscanf(message, "p%d-g%d-m%d", &pid, &g, &i)
		require.NoError(t, err)
		require.Equal(t, 1+i%3, n, "%s is there in part", message)
	}
	require.Greater(t, len(accepted), rounds, "the child got to send something")
	objects, _ := s3.objects(t)
	assert.Empty(t, sealed(t, dir))
	t.Logf("%d rounds, %d records accepted, %d arrived in %d objects", rounds, len(accepted), len(arrived), len(objects))
}

// crashOnce kills a child at a random moment, some while it opens the directory, most
// while it works, and returns the names of what it said was accepted.
func crashOnce(t *testing.T, dice *trial.Dice, dir, url string) (accepted []string) {
	t.Helper()
	cmd := child(t, "crash", dir, url)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	moment := dice.UpTo(120 * time.Millisecond)
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if dice.Below(4) == 0 {
		kill.Reset(moment)
	}
	r := bufio.NewReader(stdout)
	for first := true; ; first = false {
		line, err := r.ReadString('\n') // one that was cut off by the end says nothing
		if err != nil {
			break
		}
		if first {
			kill.Reset(moment)
		}
		names, stored := strings.CutPrefix(strings.TrimSpace(line), "stored ")
		require.True(t, stored, "%s", line)
		accepted = append(accepted, strings.Fields(names)...)
	}
	require.ErrorContains(t, cmd.Wait(), "killed")
	return accepted
}

// tear takes a half of a request, and cuts the connection.
func tear(_ http.ResponseWriter, r *http.Request) {
	buffer := make([]byte, max(r.ContentLength/2, 0))
	_, _ = r.Body.Read(buffer)
	panic(http.ErrAbortHandler)
}
