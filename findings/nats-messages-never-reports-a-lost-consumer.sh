#!/usr/bin/env bash
# github.com/nats-io/nats.go v1.55.0 (jetstream), nats-server v2.15.3: a consumer that is
# deleted while the program is connected ends Messages and Consume with "consumer
# deleted". If it is deleted while the program is cut off, which then is not told, each
# later request is answered with "no responders", and that ends neither. Messages
# with WithMessagesErrOnMissingHeartbeat(false), by its doc about heartbeats only, never
# reports it: Next waits, and the client goes on asking a consumer that is not there
# (with true, the default, Next returns "no heartbeat received"). Consume never ends
# either, but tells its error handler again and again.
#
# Expected: after the reconnection both end, as they do when connected.
# Seen in 5 seconds, with PullExpiry 2s and PullHeartbeat 500ms:
#   connected, Messages: Next returns nats: consumer deleted
#   connected, Consume: ends, nats: consumer deleted
#   cut off, Messages: Next returns nothing, requests go on
#   cut off, Consume: does not end, nats: no heartbeat received, nats: no responders available for request, requests go on
#   Info of the consumer: consumer not found
#
# Needs Go. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod
cat >main.go <<'EOF'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A cable connects to the server unless it is cut.
type cable struct {
	mu   sync.Mutex
	cut  bool
	conn net.Conn
}

func (c *cable) Dial(network, address string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, errors.New("cut off")
	}
	conn, err := net.Dial(network, address)
	c.conn = conn
	return conn, err
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut = cut; cut {
		c.conn.Close()
	}
}

// outcomes are what a program is told.
type outcomes struct {
	mu    sync.Mutex
	ended bool
	errs  []string
}

func (o *outcomes) add(ended bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = o.ended || ended
	if err != nil && !slices.Contains(o.errs, err.Error()) {
		o.errs = append(o.errs, err.Error())
	}
}

func (o *outcomes) say(ended, not string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.Sort(o.errs)
	if o.ended {
		return ended + strings.Join(o.errs, ", ")
	}
	return strings.Join(append([]string{not}, o.errs...), ", ")
}

var pull = []jetstream.PullMessagesOpt{
	jetstream.PullExpiry(2 * time.Second), jetstream.PullHeartbeat(500 * time.Millisecond), jetstream.WithMessagesErrOnMissingHeartbeat(false),
}

func messages(consumer jetstream.Consumer, told *outcomes) {
	iterator, err := consumer.Messages(pull...)
	check(err)
	go func() {
		_, err := iterator.Next()
		told.add(true, err)
	}()
}

func consume(consumer jetstream.Consumer, told *outcomes) {
	running, err := consumer.Consume(func(jetstream.Msg) {}, jetstream.PullExpiry(2*time.Second), jetstream.PullHeartbeat(500*time.Millisecond),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { told.add(false, err) }))
	check(err)
	go func() {
		<-running.Closed()
		told.add(true, nil)
	}()
}

func main() {
	ctx := context.Background()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "store", NoLog: true, NoSigs: true})
	check(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the server does not start")
	}
	admin, err := nats.Connect(s.ClientURL())
	check(err)
	js, err := jetstream.New(admin)
	check(err)
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	check(err)

	try := func(cutOff bool, start func(jetstream.Consumer, *outcomes)) (told *outcomes, consumer jetstream.Consumer, requests int64) {
		_, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
		check(err)
		cable := &cable{}
		program, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.SetCustomDialer(cable))
		check(err)
		js, err := jetstream.New(program)
		check(err)
		consumer, err = js.Consumer(ctx, "S", "c")
		check(err)
		told = &outcomes{}
		start(consumer, told)
		time.Sleep(500 * time.Millisecond)
		if cutOff {
			cable.set(true)
			for program.IsConnected() {
				time.Sleep(10 * time.Millisecond)
			}
		}
		check(stream.DeleteConsumer(ctx, "c"))
		cable.set(false)
		for !program.IsConnected() {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		before := received(s)
		time.Sleep(3 * time.Second)
		return told, consumer, received(s) - before
	}
	const ended, not = "Next returns ", "Next returns nothing"
	told, _, _ := try(false, messages)
	fmt.Println("connected, Messages:", told.say(ended, not))
	told, _, _ = try(false, consume)
	fmt.Println("connected, Consume:", told.say("ends, ", "does not end"))
	told, consumer, requests := try(true, messages)
	fmt.Println("cut off, Messages:", told.say(ended, not)+on(requests))
	told, _, requests = try(true, consume)
	fmt.Println("cut off, Consume:", told.say("ends, ", "does not end")+on(requests))
	_, err = consumer.Info(ctx)
	failed := &jetstream.APIError{}
	if !errors.As(err, &failed) {
		panic(err)
	}
	fmt.Println("Info of the consumer:", failed.Description)
	s.Shutdown()
}

func received(s *server.Server) int64 {
	v, err := s.Varz(nil)
	check(err)
	return v.InMsgs
}

func on(requests int64) string {
	if requests > 0 {
		return ", requests go on"
	}
	return ", no more requests"
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/nats-io/nats.go@v1.55.0 github.com/nats-io/nats-server/v2@v2.15.3 2>/dev/null
timeout 300 go run . | tee seen
diff - seen <<'EOF'
connected, Messages: Next returns nats: consumer deleted
connected, Consume: ends, nats: consumer deleted
cut off, Messages: Next returns nothing, requests go on
cut off, Consume: does not end, nats: no heartbeat received, nats: no responders available for request, requests go on
Info of the consumer: consumer not found
EOF
