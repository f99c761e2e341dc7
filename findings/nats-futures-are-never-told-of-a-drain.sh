#!/usr/bin/env bash
# github.com/nats-io/nats.go v1.55.0 (jetstream), nats-server v2.15.3: a connection that is
# drained, which is the orderly way to close it, ends the subscription on which the
# acknowledgements of PublishAsync come, before they came. What was published is stored, but
# its futures are never told anything: neither Ok nor Err yields, the error handler is not
# called and PublishAsyncComplete never closes, although the connection is closed and
# its handler says so. A program that waits for it before it exits waits for ever. Only
# WithPublishAsyncTimeout, which is off by default, ends that, with errors for messages
# that are stored.
#
# Expected: Drain waits for the acknowledgements, or each future gets ErrConnectionClosed.
# Seen, of 200 messages, 5 seconds after the connection was closed by Drain:
#   no option: 200 are stored, some futures were told nothing, 0 errors, not complete
#   WithPublishAsyncTimeout(1s): 200 are stored, each future was told, some errors, complete
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
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const messages = 200

func main() {
	// SyncAlways takes the server time for each acknowledgement, as a busy disk does.
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "store", SyncAlways: true, NoLog: true, NoSigs: true,
	})
	check(err)
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		panic("the server does not start")
	}
	try(s.ClientURL(), "no option", "plain")
	try(s.ClientURL(), "WithPublishAsyncTimeout(1s)", "timeout", jetstream.WithPublishAsyncTimeout(time.Second))
	s.Shutdown()
}

func try(url, name, stream string, options ...jetstream.JetStreamOpt) {
	ctx := context.Background()
	closed := make(chan struct{})
	nc, err := nats.Connect(url, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	check(err)
	js, err := jetstream.New(nc, options...)
	check(err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{stream}})
	check(err)
	var futures []jetstream.PubAckFuture
	for range messages {
		future, err := js.PublishAsync(stream, []byte("event"))
		check(err)
		futures = append(futures, future)
	}
	check(nc.Drain())
	<-closed
	time.Sleep(5 * time.Second)

	failed, silent := 0, 0
	for _, future := range futures {
		select {
		case <-future.Ok():
		case <-future.Err():
			failed++
		default:
			silent++
		}
	}
	complete := "not complete"
	select {
	case <-js.PublishAsyncComplete():
		complete = "complete"
	default:
	}
	told, errors := "each future was told", "0 errors"
	if silent > 0 {
		told = "some futures were told nothing"
	}
	if failed > 0 {
		errors = "some errors"
	}
	fmt.Printf("%s: %d are stored, %s, %s, %s\n", name, stored(ctx, url, stream), told, errors, complete)
}

// stored returns how many messages the stream has, once all are there or 20 seconds are over.
func stored(ctx context.Context, url, stream string) uint64 {
	nc, err := nats.Connect(url)
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		s, err := js.Stream(ctx, stream)
		check(err)
		if n := s.CachedInfo().State.Msgs; n == messages || time.Now().After(deadline) {
			return n
		}
	}
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
no option: 200 are stored, some futures were told nothing, 0 errors, not complete
WithPublishAsyncTimeout(1s): 200 are stored, each future was told, some errors, complete
EOF
