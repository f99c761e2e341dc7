package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// childVariable tells the program to be one of the processes it starts.
const childVariable = "KISSMETRICS_CLUSTER_CHILD"

// grace is how long a process may take to end.
const grace = 10 * time.Second

// ackWait is short, so that one sees a relay take over from one that died.
const ackWait = 2 * time.Second

// beChild is a server, a producer or a relay until stdin ends, which it does when
// the parent does.
func beChild(what string, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	kind, rest, _ := strings.Cut(what, " ")
	if kind == "server" {
		return beServer(ctx, rest)
	}
	urls, rest, _ := strings.Cut(rest, " ")
	js, disconnect, err := connect(urls)
	if err != nil {
		return err
	}
	defer disconnect()
	var sender *natsbox.Sender
	for sender == nil { // the cluster may be electing
		sender, _ = natsbox.New(ctx, js, natsbox.WithSyncUnchecked(), natsbox.WithAckWait(ackWait))
		if ctx.Err() != nil {
			return nil // the parent has ended
		}
	}
	if kind == "producer" {
		return produce(ctx, sender, rest, stdout)
	}
	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("cluster"), kissmetrics.WithBaseURL(rest))
	if err != nil {
		return err
	}
	return sender.Run(ctx, next)
}

func beServer(ctx context.Context, config string) error {
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		return err
	}
	options.NoSigs = true
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	return nil
}

// produce sends events, and writes the person of each that was accepted.
func produce(ctx context.Context, sender kissmetrics.Sender, name string, stdout io.Writer) error {
	client, err := kissmetrics.New(kissmetrics.WithSender(sender))
	if err != nil {
		return err
	}
	for i := 0; ctx.Err() == nil; i++ {
		person := fmt.Sprintf("%s-%d-%d", name, os.Getpid(), i)
		if client.Track(ctx, kissmetrics.Track{UserID: person, Event: "Ordered"}) == nil {
			if _, err := fmt.Fprintln(stdout, person); err != nil {
				return err
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// connect returns JetStream over a connection that outlives servers.
func connect(urls string) (jetstream.JetStream, func(), error) {
	connection, err := nats.Connect(urls, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.RetryOnFailedConnect(true),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(connection)
	if err != nil {
		connection.Close()
		return nil, nil, err
	}
	return js, connection.Close, nil
}

// A child is a process that is started again when it dies.
type child struct {
	mu      sync.Mutex
	command *exec.Cmd
	stdin   io.Closer
	ending  chan struct{}
	once    sync.Once
	ended   sync.WaitGroup
}

// startChild starts a process, and tells its number each time, and every line
// that it writes.
func startChild(what string, started func(pid int), wrote func(line string)) *child {
	c := &child{ending: make(chan struct{})}
	c.ended.Go(func() {
		for {
			c.live(what, started, wrote)
			select {
			case <-time.After(500 * time.Millisecond):
			case <-c.ending:
				return
			}
		}
	})
	return c
}

// live is one life of the process.
func (c *child) live(what string, started func(pid int), wrote func(line string)) {
	executable, err := os.Executable()
	if err != nil {
		return
	}
	command := exec.Command(executable) //nolint:gosec,noctx // this program
	command.Env = append(os.Environ(), childVariable+"="+what)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return
	}
	c.mu.Lock()
	select {
	case <-c.ending:
		c.mu.Unlock()
		return
	default:
	}
	if err := command.Start(); err != nil {
		c.mu.Unlock()
		return
	}
	c.command, c.stdin = command, stdin
	c.mu.Unlock()
	started(command.Process.Pid)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		wrote(lines.Text())
	}
	_ = command.Wait()
}

// kill kills the process at once. It will be started again.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.command != nil {
		_ = c.command.Process.Kill()
	}
}

// stop ends the process for good, in its own time, or, where somebody has stopped
// it (kill -STOP), by killing it.
func (c *child) stop() {
	c.once.Do(func() {
		c.mu.Lock()
		close(c.ending)
		if c.stdin != nil {
			_ = c.stdin.Close()
		}
		c.mu.Unlock()
	})
	defer time.AfterFunc(grace, c.kill).Stop()
	c.ended.Wait()
}
