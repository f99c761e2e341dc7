#!/usr/bin/env bash
# nats-server v2.15.3, nats.go v1.55.0: a stream that gathers others (Sources) takes their
# Nats-Msg-Id for its own, if it has a window for duplicates. Two streams that each number
# their orders lose each other's there: of two messages with one id the second is skipped, for
# good, although each was acknowledged as new by the stream that it was published to. The
# lag of the source is 0, and it has no error. A stream that was created with sources has no
# window unless it is asked for one. One to which they were added later has two minutes, the
# default of the stream that it was, so the same update makes a stream of another kind.
#
# Expected: all has what EU and US have, however it came by its sources.
# Seen, of order-1 published to EU, and order-1 and order-2 to US:
#   created with sources: window 0s, all has EU order-1, US order-1, US order-2
#   sources added later: window 2m0s, all has EU order-1, US order-2
#   of the sources: lag 0, no error
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
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var sources = []*jetstream.StreamSource{{Name: "EU"}, {Name: "US"}}

// run starts a server, makes the stream all with create, and says what it has in the end.
func run(name string, create func(context.Context, jetstream.JetStream) jetstream.Stream) {
	ctx := context.Background()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: name, NoLog: true, NoSigs: true})
	check(err)
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the server does not start")
	}
	conn, err := nats.Connect(s.ClientURL())
	check(err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	check(err)
	for _, source := range sources {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: source.Name, Subjects: []string{source.Name}})
		check(err)
	}
	all := create(ctx, js)

	for _, message := range []string{"EU order-1", "US order-1", "US order-2"} {
		subject, id, _ := strings.Cut(message, " ")
		ack, err := js.Publish(ctx, subject, []byte(message), jetstream.WithMsgID(id))
		check(err)
		if ack.Duplicate {
			panic(message + " is a duplicate")
		}
		time.Sleep(time.Second) // so that all is given them in this order
	}
	time.Sleep(10 * time.Second) // long enough for another try
	info, err := all.Info(ctx)
	check(err)
	var has []string
	for sequence := info.State.FirstSeq; sequence <= info.State.LastSeq; sequence++ {
		message, err := all.GetMsg(ctx, sequence)
		check(err)
		has = append(has, string(message.Data))
	}
	slices.Sort(has)
	fmt.Printf("%s: window %v, all has %s\n", name, info.Config.Duplicates, strings.Join(has, ", "))
	for _, source := range info.Sources {
		if source.Lag != 0 || source.Error != nil {
			fmt.Printf("%s: lag %d, %v\n", source.Name, source.Lag, source.Error)
		}
	}
}

func main() {
	run("created with sources", func(ctx context.Context, js jetstream.JetStream) jetstream.Stream {
		all, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "all", Sources: sources})
		check(err)
		return all
	})
	run("sources added later", func(ctx context.Context, js jetstream.JetStream) jetstream.Stream {
		all, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "all", Subjects: []string{"own"}})
		check(err)
		config := all.CachedInfo().Config
		config.Sources = sources
		all, err = js.UpdateStream(ctx, config)
		check(err)
		return all
	})
	fmt.Println("of the sources: lag 0, no error")
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
created with sources: window 0s, all has EU order-1, US order-1, US order-2
sources added later: window 2m0s, all has EU order-1, US order-2
of the sources: lag 0, no error
EOF
