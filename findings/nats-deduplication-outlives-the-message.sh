#!/usr/bin/env bash
# nats-server v2.15.3, nats.go v1.55.0: a message of a work queue that was delivered
# MaxDeliver times stays in the stream, out of reach: its consumer counts nothing pending
# and nothing unacknowledged, so that by these figures all is done. To publish it again
# with its Nats-Msg-Id is acknowledged as a duplicate and changes nothing. That is so
# within the stream's window even after the message was deleted, and after the stream
# was purged: the acknowledgement names the sequence of a message that is not there.
#
# Expected: the consumer counts what nobody has acknowledged; a repeat of what was
# deleted is stored.
# Seen:
#   published: sequence 1, duplicate false
#   after 2 deliveries without an ack: pending 0, unacknowledged 0, in the stream 1
#   published again: sequence 1, duplicate true, in the stream 1
#   deleted, published again: sequence 1, duplicate true, in the stream 0
#   purged, published again: sequence 1, duplicate true, in the stream 0
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
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s"}, Retention: jetstream.WorkQueuePolicy, Duplicates: time.Hour,
	})
	check(err)
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 2, AckWait: 200 * time.Millisecond,
	})
	check(err)
	stored := func() uint64 {
		info, err := stream.Info(ctx)
		check(err)
		return info.State.Msgs
	}
	publish := func() string {
		ack, err := js.Publish(ctx, "s", []byte("order 17"), jetstream.WithMsgID("order-17"))
		check(err)
		return fmt.Sprintf("sequence %d, duplicate %t", ack.Sequence, ack.Duplicate)
	}

	fmt.Println("published:", publish())
	deliveries := 0
	for range 3 {
		batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(time.Second))
		check(err)
		for range batch.Messages() {
			deliveries++ // and no ack
		}
	}
	info, err := consumer.Info(ctx)
	check(err)
	fmt.Printf("after %d deliveries without an ack: pending %d, unacknowledged %d, in the stream %d\n",
		deliveries, info.NumPending, info.NumAckPending, stored())
	fmt.Printf("published again: %s, in the stream %d\n", publish(), stored())
	check(stream.DeleteMsg(ctx, 1))
	fmt.Printf("deleted, published again: %s, in the stream %d\n", publish(), stored())
	check(stream.Purge(ctx))
	fmt.Printf("purged, published again: %s, in the stream %d\n", publish(), stored())
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
timeout 300 go run . | tee seen
diff - seen <<'EOF'
published: sequence 1, duplicate false
after 2 deliveries without an ack: pending 0, unacknowledged 0, in the stream 1
published again: sequence 1, duplicate true, in the stream 1
deleted, published again: sequence 1, duplicate true, in the stream 0
purged, published again: sequence 1, duplicate true, in the stream 0
EOF
