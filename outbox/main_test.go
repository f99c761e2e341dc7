package outbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// role names what a test's child process is to do.
const role = "OUTBOX_TEST_ROLE"

func TestMain(m *testing.M) {
	if name := os.Getenv(role); name != "" {
		if err := roles[name](os.Getenv("OUTBOX_TEST_PATH"), os.Getenv("OUTBOX_TEST_URL")); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	trial.Parallel(6) // they mostly wait
	goleak.VerifyTestMain(m)
}

var roles = map[string]func(path, url string) error{
	"crash":               crashing,
	"relay":               relaying,
	"full disk":           fillingTheDisk,
	"full log":            keepingALimit,
	"full disk early":     fillingTheDiskEarly,
	"failing fsync":       failingToSync,
	"read-only":           readingOnly,
	"umask":               makingFiles,
	"read-only directory": readingOnlyDirectory,
	"few files":           openingTooMany,
}

// child returns this program as another process, which is killed when the test
// ends.
func child(t *testing.T, name, path, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+name, "OUTBOX_TEST_PATH="+path, "OUTBOX_TEST_URL="+url)
	cmd.Stderr = os.Stderr
	return cmd
}

// runChild runs a role that is to succeed.
func runChild(t *testing.T, name, path, url string) {
	t.Helper()
	output, err := child(t, name, path, url).Output()
	require.NoError(t, err, "%s", output)
}

// sender returns what delivers to a server.
func sender(url string) *kissmetrics.HTTPSender {
	s, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(url))
	if err != nil {
		panic(err) // of a test, about its own URL
	}
	return s
}

// start runs the relay. What it returns stops that, and waits.
func start(t testing.TB, box *outbox.Outbox, next kissmetrics.Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = box.Run(ctx, next) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// deliver delivers all that is stored.
func deliver(t testing.TB, box *outbox.Outbox, next kissmetrics.Sender) {
	t.Helper()
	deliverWithin(t, time.Minute, box, next)
}

// deliverWithin is deliver where there may be more than a minute's work.
func deliverWithin(t testing.TB, most time.Duration, box *outbox.Outbox, next kissmetrics.Sender) {
	t.Helper()
	stop := start(t, box, next)
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	require.Eventually(t, func() bool { return box.Flush(ctx) == nil || ctx.Err() != nil }, most, time.Millisecond)
	require.NoError(t, ctx.Err())
	stop()
	if s, ok := next.(*kissmetrics.HTTPSender); ok {
		s.CloseIdleConnections()
	}
}

// record returns a valid record; those of different names are no duplicates.
func record(name string) kissmetrics.Record {
	return kissmetrics.Record{
		Kind: kissmetrics.KindEvent, Person: "ann", Name: name, Time: time.Unix(1_700_000_000, 0).UTC(),
		Properties: []kissmetrics.Property{{Name: "Plan", Value: "Pro"}, {Name: "Seats", Value: "3", Literal: true}},
	}
}
