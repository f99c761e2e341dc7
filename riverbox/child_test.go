package riverbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// What a child process is told.
const (
	childRole     = "RIVERBOX_TEST_ROLE" // "worker" or "sender"
	childDatabase = "RIVERBOX_TEST_DATABASE"
	childServer   = "RIVERBOX_TEST_SERVER"
	childName     = "RIVERBOX_TEST_NAME"
)

// rescueAfter is when the jobs of a dead process may be taken over in these tests.
const rescueAfter = 2 * time.Second

// child is this program as a child process, which ends with its standard input.
func child(role string) (code int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	pool, err := pgxpool.New(context.Background(), os.Getenv(childDatabase))
	if err == nil {
		defer pool.Close()
		switch role {
		case "worker":
			err = childWorker(ctx, pool)
		case "sender":
			err = childSender(ctx, pool)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// childWorker delivers until ctx ends, and lets what is under way finish.
func childWorker(ctx context.Context, pool *pgxpool.Pool) error {
	next, err := newHTTPSender(os.Getenv(childServer))
	if err != nil {
		return err
	}
	sender, err := newSender(ctx, pool)
	if ctx.Err() != nil {
		return nil // it was to end before it began
	} else if err != nil {
		return err
	}
	c := config(riverbox.NewWorker(sender, next))
	c.ID = os.Getenv(childName)
	c.Queues[riverbox.Queue] = river.QueueConfig{MaxWorkers: 4}
	c.JobTimeout = rescueAfter / 2
	c.RescueStuckJobsAfter = rescueAfter
	client, err := river.NewClient(riverpgxv5.New(pool), c)
	if err != nil {
		return err
	}
	for {
		if err = client.Start(context.Background()); err == nil {
			break
		}
		select { // the database may be away
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
	fmt.Println("started")
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.Stop(ending)
}

// newSender returns a sender as soon as the database is there.
func newSender(ctx context.Context, pool *pgxpool.Pool) (sender *riverbox.Sender, err error) {
	for ctx.Err() == nil {
		if sender, err = riverbox.New(ctx, pool, riverbox.WithBackoff(10*time.Millisecond, 5*time.Second)); err == nil {
			return sender, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil, err
}

// childSender sends messages, each again until it is accepted, and prints the
// number of each that was.
func childSender(ctx context.Context, pool *pgxpool.Pool) error {
	sender, err := newSender(ctx, pool)
	if ctx.Err() != nil {
		return nil // it was to end before it began
	} else if err != nil {
		return err
	}
	var senders sync.WaitGroup
	var number atomic.Int64
	for range 4 {
		senders.Go(func() {
			for ctx.Err() == nil {
				name := os.Getenv(childName) + "-" + strconv.FormatInt(number.Add(1), 10)
				for {
					attempt, cancel := context.WithTimeout(ctx, time.Second)
					err := sender.Send(attempt, events(name, 2))
					cancel()
					if err == nil {
						fmt.Println(name) // one write: it comes whole or not at all
					}
					select { // as busy as many, and no more than the machine can take
					case <-time.After(10 * time.Millisecond):
					case <-ctx.Done():
						return
					}
					if err == nil {
						break
					}
				}
			}
		})
	}
	senders.Wait()
	return nil
}

// A process is a child of the test.
type process struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	read  chan struct{} // closed when all that it prints has been read

	mu    sync.Mutex
	lines []string
}

// start starts a child, which is killed at the latest when the test ends.
func start(t testing.TB, role, name, database, server string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childName+"="+name, childDatabase+"="+database, childServer+"="+server)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{t: t, name: name, cmd: cmd, stdin: stdin, read: make(chan struct{})}
	go func() {
		defer close(p.read)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			p.mu.Unlock()
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// printed returns the lines that the child has printed.
func (p *process) printed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// awaitLines waits until the child has printed so many lines.
func (p *process) awaitLines(count int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return len(p.printed()) >= count }, patience, 5*time.Millisecond, "%s prints", p.name)
}

func (p *process) signal(s os.Signal) { require.NoError(p.t, p.cmd.Process.Signal(s)) }

// kill ends the child by SIGKILL, if it has not ended.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.read
	_ = p.cmd.Wait()
}

// finish lets the child end by itself.
func (p *process) finish() {
	p.t.Helper()
	require.NoError(p.t, p.stdin.Close())
	<-p.read
	assert.NoError(p.t, p.cmd.Wait(), p.name)
}
