package natsbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// childVariable tells the test binary to be a process that tests kill.
const childVariable = "KISSMETRICS_JETSTREAM_TEST_CHILD"

func TestMain(m *testing.M) {
	if child := os.Getenv(childVariable); child != "" {
		if err := beChild(child); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	trial.Parallel(8) // they mostly wait
	goleak.VerifyTestMain(m)
}

// beChild is a server or a relay until the parent ends, or kills it.
func beChild(what string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() { // a parent that dies closes the pipe
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	kind, argument, _ := strings.Cut(what, " ")
	if kind == "server" {
		return beServer(ctx, argument)
	}
	return beRelay(ctx, argument)
}

func beServer(ctx context.Context, configFile string) error {
	options, err := server.ProcessConfigFile(configFile)
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
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("%s is not ready", options.ServerName)
	}
	fmt.Println("ready")
	<-ctx.Done()
	s.Shutdown()
	return nil
}

// relayArguments are what the process of a relay needs to know.
type relayArguments struct {
	URL, Tracking string
	Replicas      int
	AckWait       time.Duration
}

func beRelay(ctx context.Context, argument string) error {
	var a relayArguments
	if err := json.Unmarshal([]byte(argument), &a); err != nil {
		return err
	}
	// A relay that was stopped and revived finds more in its inboxes than they hold;
	// by default that is printed.
	connection, err := nats.Connect(a.URL, append(patient(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		return err
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		return err
	}
	next, err := kissmetrics.NewHTTPSender(
		kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(a.Tracking))
	if err != nil {
		return err
	}
	var sender *natsbox.Sender
	for sender == nil && ctx.Err() == nil { // the server may be dead
		sender, err = natsbox.New(ctx, js, natsbox.WithReplicas(a.Replicas), natsbox.WithSyncUnchecked(),
			natsbox.WithAckWait(a.AckWait), natsbox.WithBackoff(time.Millisecond, 100*time.Millisecond))
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return sender.Run(ctx, next)
}

// patient returns the options of a connection that is to outlive servers.
func patient() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.RetryOnFailedConnect(true),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(time.Second),
	}
}

// A process is a child that can be killed and started again.
type process struct {
	what string

	mu      sync.Mutex
	command *exec.Cmd
	stdin   io.Closer
}

// newProcess returns a process that is started, and ends with the test.
func newProcess(t testing.TB, what string) *process {
	t.Helper()
	p := &process{what: what}
	t.Cleanup(p.kill)
	require.NoError(t, p.start())
	return p
}

// start starts the process, and waits until it is ready. A server whose port is
// taken, by a connection that came from it just now, is started again.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	for range 20 {
		if err = p.startOnce(); err == nil {
			return nil
		}
	}
	return err
}

func (p *process) startOnce() error {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+p.what)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = command.Process.Kill()
		return fmt.Errorf("%s said %q: %w, %w", p.what, line, err, command.Wait())
	}
	p.command, p.stdin = command, stdin
	return nil
}

// kill kills the process at once, and waits until it is gone.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.command == nil {
		return
	}
	_ = p.command.Process.Kill()
	_ = p.stdin.Close()
	_ = p.command.Wait()
	p.command = nil
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.NoError(t, p.command.Process.Signal(s))
}

// A cluster is one or several servers, each a process.
type cluster struct {
	nodes map[string]*process
	ports map[string]int
}

func (c *cluster) url() string {
	var urls []string
	for _, port := range c.ports {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	return strings.Join(urls, ",")
}

// startServer starts one server.
func startServer(t testing.TB, jetstreamSettings string) *cluster {
	t.Helper()
	return startCluster(t, 1, jetstreamSettings)
}

const syncAlways = "sync_interval: always"

// startCluster starts servers named n1, n2, ….
func startCluster(t testing.TB, size int, jetstreamSettings string) *cluster {
	t.Helper()
	return startServersOf(t, slices.Repeat([]string{jetstreamSettings}, size)...)
}

// startServersOf starts servers of different settings, each with its name as a tag.
func startServersOf(t testing.TB, jetstreamSettings ...string) *cluster {
	t.Helper()
	size := len(jetstreamSettings)
	ports := freePorts(t, 2*size)
	var routes []string
	for _, port := range ports[size:] {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	c := &cluster{nodes: map[string]*process{}, ports: map[string]int{}}
	directory := t.TempDir()
	var starting sync.WaitGroup
	for i := range size {
		name := fmt.Sprintf("n%d", i+1)
		config := fmt.Sprintf(`
server_name: %s
server_tags: [ %s ]
listen: "127.0.0.1:%d"
log_file: %q
jetstream { store_dir: %q, max_file: 1GB, %s }
accounts {
  SYS: { users: [ { user: system, password: system } ] }
  APP: { jetstream: enabled, users: [ { user: app, password: app } ] }
}
system_account: SYS
no_auth_user: app
`, name, name, ports[i], filepath.Join(directory, name+".log"), filepath.Join(directory, name), jetstreamSettings[i])
		if size > 1 {
			config += fmt.Sprintf("cluster { name: test, listen: \"127.0.0.1:%d\", routes: [ %s ] }\n",
				ports[size+i], strings.Join(routes, ", "))
		}
		file := filepath.Join(directory, name+".conf")
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
		node := &process{what: "server " + file}
		t.Cleanup(node.kill)
		c.nodes[name], c.ports[name] = node, ports[i]
		starting.Go(func() {
			if err := node.start(); err != nil {
				t.Errorf("starting %s: %v", name, err)
			}
		})
	}
	starting.Wait()
	require.False(t, t.Failed())
	return c
}

// freePorts returns ports on which nothing listens.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// connect returns a connection that ends with the test.
func (c *cluster) connect(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	connection, err := nats.Connect(c.url(), append(patient(), options...)...)
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	require.Eventually(t, connection.IsConnected, 20*time.Second, 10*time.Millisecond)
	return connection
}

// connectSystem returns a connection to the system account.
func (c *cluster) connectSystem(t testing.TB) *nats.Conn {
	t.Helper()
	return c.connect(t, nats.UserInfo("system", "system"))
}

// jetStream returns JetStream over a connection of its own.
func (c *cluster) jetStream(t testing.TB) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(c.connect(t))
	require.NoError(t, err)
	return js
}

// single are the options of a sender to one server.
func single(options ...natsbox.Option) []natsbox.Option {
	return append([]natsbox.Option{
		natsbox.WithReplicas(1), natsbox.WithSyncUnchecked(), natsbox.WithBackoff(time.Millisecond, 50*time.Millisecond),
	}, options...)
}

// newSender returns a sender to a new stream of one server.
func newSender(t testing.TB, js jetstream.JetStream, options ...natsbox.Option) *natsbox.Sender {
	t.Helper()
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 64<<20, single(options...)...))
	sender, err := natsbox.New(t.Context(), js, single(options...)...)
	require.NoError(t, err)
	return sender
}

// startRelay runs a relay until the returned function, or the end of the test,
// stops it.
func startRelay(t testing.TB, sender *natsbox.Sender, next kissmetrics.Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := sender.Run(ctx, next); err != nil {
			t.Errorf("the relay ended: %v", err)
		}
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}
