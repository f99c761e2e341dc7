#!/usr/bin/env bash
# github.com/nats-io/nats.go v1.55.0 (jetstream), nats-server v2.15.3: FetchBytes asks for as many
# messages as fit in a number of bytes. Where the next one alone is larger, the server refuses
# each request with a status that says so (409), but the client makes an empty batch
# of it, whose Error, which by its doc tells what was wrong, is nil. That is what an idle
# stream looks like, except that it comes at once and not when the time is over. All that
# came after that message waits for ever, and a loop around FetchBytes never rests. The doc of
# PullMaxBytes has a warning; that of FetchBytes has none.
#
# Expected: Error is ErrMaxBytesExceeded.
# Seen, of messages of 10, 5000 and 10 bytes:
#   FetchBytes(1024): 1 message, error <nil>, at once, pending 2
#   FetchBytes(1024): 0 messages, error <nil>, at once, pending 2
#   FetchBytes(1024): 0 messages, error <nil>, at once, pending 2
#   FetchBytes(8192): 2 messages, error <nil>, pending 0
#   FetchBytes(1024), nothing is there: 0 messages, error <nil>, after 2 seconds, pending 0
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

func main() {
	ctx := context.Background()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "store", NoLog: true, NoSigs: true})
	check(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the server does not start")
	}
	conn, err := nats.Connect(s.ClientURL())
	check(err)
	js, err := jetstream.New(conn)
	check(err)
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	check(err)
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	check(err)
	for _, size := range []int{10, 5000, 10} {
		_, err := js.Publish(ctx, "s", make([]byte, size))
		check(err)
	}

	fetch := func(bytes int) (text string, waited bool) {
		begin := time.Now()
		batch, err := consumer.FetchBytes(bytes, jetstream.FetchMaxWait(2*time.Second))
		check(err)
		n := 0
		for message := range batch.Messages() {
			check(message.DoubleAck(ctx))
			n++
		}
		plural := "s"
		if n == 1 {
			plural = ""
		}
		return fmt.Sprintf("%d message%s, error %v", n, plural, batch.Error()), time.Since(begin) > 1500*time.Millisecond
	}
	pending := func() uint64 {
		info, err := consumer.Info(ctx)
		check(err)
		return info.NumPending
	}
	for range 3 {
		text, waited := fetch(1024)
		if waited {
			text += ", after 2 seconds"
		} else {
			text += ", at once"
		}
		fmt.Printf("FetchBytes(1024): %s, pending %d\n", text, pending())
	}
	text, _ := fetch(8192)
	fmt.Printf("FetchBytes(8192): %s, pending %d\n", text, pending())
	text, waited := fetch(1024)
	if waited {
		text += ", after 2 seconds"
	}
	fmt.Printf("FetchBytes(1024), nothing is there: %s, pending %d\n", text, pending())
	s.Shutdown()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/nats-io/nats.go@v1.55.0 github.com/nats-io/nats-server/v2@v2.15.3 2>/dev/null
timeout 120 go run . | tee seen
diff - seen <<'EOF'
FetchBytes(1024): 1 message, error <nil>, at once, pending 2
FetchBytes(1024): 0 messages, error <nil>, at once, pending 2
FetchBytes(1024): 0 messages, error <nil>, at once, pending 2
FetchBytes(8192): 2 messages, error <nil>, pending 0
FetchBytes(1024), nothing is there: 0 messages, error <nil>, after 2 seconds, pending 0
EOF
