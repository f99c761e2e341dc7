// Scale tells how many NATS servers, partitions and relays carry a number of events
// a second. It measures what it needs on this machine, with three servers within
// this process, and then plays through an outage of Kissmetrics:
//
//	go run ./examples/scale
//	go run ./examples/scale -events 1000000 -latency 50ms -outage 1h
//
// The figures are those of one run on one machine; see natsbox/SCALE.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var d demand
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.Float64Var(&d.events, "events", 1_000_000, "events a second")
	flags.DurationVar(&d.latency, "latency", 50*time.Millisecond, "how long Kissmetrics takes to answer")
	flags.DurationVar(&d.outage, "outage", time.Hour, "how long Kissmetrics is away")
	flags.Float64Var(&d.headroom, "headroom", 2, "how much more the relays and servers can carry than they have to")
	long := flags.Duration("measure", 2*time.Second, "how long each measurement takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if d.events <= 0 || d.latency <= 0 || d.headroom <= 1 {
		return fmt.Errorf("-events and -latency must be positive, -headroom more than 1")
	}
	m, err := measure(ctx, *long)
	if err != nil {
		return err
	}
	p := makePlan(d, m)
	o := simulate(d, m, p)
	_, err = fmt.Fprintf(stdout, `measured here, on %d cores that three servers, senders, relay and tracking server share:
  %8.0f messages a second stored in one stream of 3 replicas, each synced
  %8.0f messages a second stored in 4 such streams
  %8.0f messages a second relayed by one process
  %8.0f bytes a message in the stream, of one event with 5 properties
  %8.0f bytes a request to Kissmetrics, headers included

for %.0f events a second, with headroom for %.1f times as many:
  %8d partitions (streams), by a hash of the person; the fullest has %.2f times its share
  %8d servers like this machine (clusters of 3, each with %d of the partitions)
  %8d relay processes like this machine
  %8.0f requests under way, hence connections (HTTP/1.1), at %v an answer
  %8.1f Gbit/s of requests

when Kissmetrics is away for %v:
  %8.1f TB wait at most, in each of 3 replicas
  %8.1f GB of them on the fullest server
  %8v until nothing waits, at %.0f requests a second
`, runtime.NumCPU(), m.storedOne, m.storedFour, m.relayed, m.storedBytes, m.requestBytes,
		d.events, d.headroom, p.partitions, p.skew, p.servers, p.inCluster, p.relays, p.underWay, d.latency, p.bits/1e9,
		d.outage, o.peakBytes/1e12, o.peakBytesOfOne/1e9, o.drained, d.events*d.headroom)
	return err
}
