// Cluster shows that nothing accepted goes missing: three NATS servers, two
// producers and two relays, each a process that may be killed, and a tracking
// server in the place of Kissmetrics.
//
//	go run ./examples/cluster
//
// It tells the process of each, to be killed by hand (kill -9, or kill -STOP and
// -CONT); what dies is started again. An interrupt ends it with a verdict. With
//
//	go run ./examples/cluster -kill
//
// it kills each of them once by itself, and then gives the verdict.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// patience bounds each wait for the cluster.
const patience = time.Minute

var everybody = []string{"n1", "producer-1", "relay-1", "n2", "producer-2", "relay-2", "n3"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if child := os.Getenv(childVariable); child != "" {
		err = beChild(child, os.Stdin, os.Stdout)
	} else {
		kill := flag.Bool("kill", false, "kill each process once, then give the verdict")
		flag.Parse()
		var victims []string
		if *kill {
			victims = everybody
		}
		err = run(ctx, victims, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run starts everything, kills the victims, or waits until ctx ends where there
// are none, and tells what became of what was accepted.
func run(ctx context.Context, victims []string, stdout io.Writer) (err error) {
	directory, err := os.MkdirTemp("", "cluster")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	tracking := kissmetricstest.Start()
	defer tracking.Close()
	configs, urls, err := writeConfigs(directory)
	if err != nil {
		return err
	}
	d := &demo{tracking: tracking, stdout: stdout, children: make(map[string]*child), accepted: make(map[string]bool), starts: make(map[string]int)}
	defer d.stop()
	for i, config := range configs {
		d.start(fmt.Sprintf("n%d", i+1), "server "+config)
	}
	js, disconnect, err := connect(urls)
	if err != nil {
		return err
	}
	defer disconnect()
	sender, err := d.prepare(ctx, js)
	if err != nil {
		return err
	}
	for _, n := range []string{"1", "2"} {
		d.start("relay-"+n, "relay "+urls+" "+tracking.URL)
		d.start("producer-"+n, "producer "+urls+" producer-"+n)
	}
	if err := d.wait(ctx, "something to arrive", func() bool { return d.arrived() > 20 }); err != nil {
		return err
	}
	if len(victims) == 0 {
		d.watch(ctx, sender)
	}
	for _, victim := range victims {
		if err := d.kill(ctx, victim, js); err != nil {
			return err
		}
	}
	return d.verdict(context.WithoutCancel(ctx), sender)
}

// A demo is what runs, and what is known of it.
type demo struct {
	tracking *kissmetricstest.Server
	stdout   io.Writer
	children map[string]*child

	mu       sync.Mutex
	accepted map[string]bool // the persons of whom a producer's Send returned nil
	starts   map[string]int  // how often each process was started
}

func (d *demo) sayf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = fmt.Fprintf(d.stdout, format+"\n", args...)
}

func (d *demo) start(name, what string) {
	d.children[name] = startChild(what, func(pid int) {
		d.sayf("%-10s is process %d", name, pid)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.starts[name]++
	}, func(line string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.accepted[line] = true
	})
}

// stop ends every child.
func (d *demo) stop() {
	for _, c := range d.children {
		c.stop()
	}
}

// prepare creates the streams when the cluster has a leader.
func (d *demo) prepare(ctx context.Context, js jetstream.JetStream) (*natsbox.Sender, error) {
	var sender *natsbox.Sender
	var last error
	err := d.wait(ctx, "the cluster", func() bool {
		if last = natsbox.CreateStreams(ctx, js, 64<<20, natsbox.WithAckWait(ackWait)); last == nil {
			sender, last = natsbox.New(ctx, js, natsbox.WithSyncUnchecked(), natsbox.WithAckWait(ackWait))
		}
		return last == nil
	})
	if err != nil {
		return nil, errors.Join(err, last)
	}
	return sender, nil
}

// wait waits until something is so.
func (d *demo) wait(ctx context.Context, what string, is func() bool) error {
	deadline := time.After(patience)
	for !is() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("waited for %s in vain", what)
		}
	}
	return nil
}

func (d *demo) arrived() int { return len(d.tracking.Requests()) }

func (d *demo) startsOf(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.starts[name]
}

func (d *demo) acceptances() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.accepted)
}

// watch tells how it goes, until ctx ends.
func (d *demo) watch(ctx context.Context, sender *natsbox.Sender) {
	for ctx.Err() == nil {
		if stats, err := sender.Stats(ctx); err == nil {
			d.sayf("accepted %d, waiting %d, the oldest for %v", d.acceptances(), stats.Waiting, stats.OldestAge.Round(time.Millisecond))
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// kill kills a process, and waits until things go on, and all is whole again.
func (d *demo) kill(ctx context.Context, name string, js jetstream.JetStream) error {
	accepted, arrived, starts := d.acceptances(), d.arrived(), d.startsOf(name)
	d.sayf("killing %s", name)
	d.children[name].kill()
	err := d.wait(ctx, "things to go on without "+name, func() bool {
		return d.acceptances() > accepted+10 && d.arrived() > arrived+10
	})
	if err != nil {
		return err
	}
	if err := d.wait(ctx, name+" to be started again", func() bool { return d.startsOf(name) > starts }); err != nil {
		return err
	}
	return d.wait(ctx, "all replicas to be current", func() bool {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		stream, err := js.Stream(short, "KISSMETRICS")
		if err != nil || stream.CachedInfo().Cluster == nil || len(stream.CachedInfo().Cluster.Replicas) != 2 {
			return false
		}
		for _, replica := range stream.CachedInfo().Cluster.Replicas {
			if !replica.Current || replica.Offline {
				return false
			}
		}
		return true
	})
}

// verdict stops the producers, waits until nothing waits, and tells whether
// anything accepted is missing.
func (d *demo) verdict(ctx context.Context, sender *natsbox.Sender) error {
	for name, c := range d.children {
		if strings.HasPrefix(name, "producer") {
			c.stop()
		}
	}
	err := d.wait(ctx, "the rest to be delivered", func() bool {
		stats, err := sender.Stats(ctx)
		return err == nil && stats.Waiting == 0
	})
	if err != nil {
		return err
	}
	missing := 0
	for person := range d.accepted { // the producers have ended
		if len(d.tracking.Events(person)) != 1 {
			missing++
		}
	}
	d.sayf("accepted and arrived: %d; missing or counted twice: %d", len(d.accepted)-missing, missing)
	if missing > 0 {
		return fmt.Errorf("%d events went missing", missing)
	}
	return nil
}

// writeConfigs writes the configurations of three servers, and returns their
// addresses.
func writeConfigs(directory string) (files []string, urls string, err error) {
	var ports [6]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
		if err != nil {
			return nil, "", err
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	var clients, routes []string
	for i := range 3 {
		clients = append(clients, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[3+i]))
	}
	for i := range 3 {
		file := filepath.Join(directory, fmt.Sprintf("n%d.conf", i+1))
		config := fmt.Sprintf(`server_name: n%d
listen: "127.0.0.1:%d"
log_file: %q
jetstream { store_dir: %q, max_file: 1GB, sync_interval: always }
cluster { name: example, listen: "127.0.0.1:%d", routes: [ %s ] }
`, i+1, ports[i], file+".log", file+".data", ports[3+i], strings.Join(routes, ", "))
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, "", err
		}
		files = append(files, file)
	}
	return files, strings.Join(clients, ","), nil
}
