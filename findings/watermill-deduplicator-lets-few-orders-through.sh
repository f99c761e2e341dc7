#!/usr/bin/env bash
# github.com/ThreeDotsLabs/watermill v1.5.1: Deduplicator is a middleware that drops a message if one
# like it came within the last minute. By default two are alike if their payloads have the same
# Adler-32. That sum is made for long texts. Short ones that differ in a few digits mostly
# have the same, so that of 9,000 orders with as many numbers nine of ten never reach the
# handler. They are acknowledged, and there is no error. Besides, a message counts as seen
# before the handler is called. If that fails, the message is delivered again, as it should
# be, and is then a duplicate of itself: it is acknowledged, though it was never handled.
#
# Expected: each order is handled; one whose handler failed is handled again.
# Seen, of {"event":"Bought","order":1000} to 9999, and of a handler that fails once:
#   Adler-32, the default: 792 of 9000 orders handled
#   SHA-256: 9000 of 9000 orders handled
#   no Deduplicator: called 2 times, handled 1 time
#   Deduplicator: called 1 time, handled 0 times
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
	"math"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

func main() {
	orders("Adler-32, the default", &middleware.Deduplicator{})
	orders("SHA-256", &middleware.Deduplicator{KeyFactory: middleware.NewMessageHasherSHA256(math.MaxInt64)})
	failOnce("no Deduplicator")
	failOnce("Deduplicator", (&middleware.Deduplicator{}).Middleware)
}

func orders(what string, deduplicator *middleware.Deduplicator) {
	handled := 0
	handler := deduplicator.Middleware(func(*message.Message) ([]*message.Message, error) {
		handled++
		return nil, nil
	})
	for order := 1000; order < 10000; order++ {
		_, err := handler(newMessage(order))
		check(err)
	}
	fmt.Printf("%s: %d of 9000 orders handled\n", what, handled)
}

func failOnce(what string, middlewares ...message.HandlerMiddleware) {
	pubsub := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	router.AddMiddleware(middlewares...)
	calls, handled := 0, 0
	router.AddConsumerHandler("shop", "orders", pubsub, func(*message.Message) error {
		calls++
		if calls == 1 {
			return errors.New("the database is away")
		}
		handled++
		return nil
	})
	go func() { check(router.Run(context.Background())) }()
	<-router.Running()
	check(pubsub.Publish("orders", newMessage(1000))) // returns once it is acknowledged
	check(router.Close())
	time.Sleep(100 * time.Millisecond)
	fmt.Printf("%s: called %s, handled %s\n", what, times(calls), times(handled))
}

func newMessage(order int) *message.Message {
	return message.NewMessage(watermill.NewUUID(), fmt.Appendf(nil, `{"event":"Bought","order":%d}`, order))
}

func times(n int) string {
	if n == 1 {
		return "1 time"
	}
	return fmt.Sprint(n, " times")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/ThreeDotsLabs/watermill/message/router/middleware@v1.5.1 2>/dev/null
timeout 120 go run . | tee seen
diff - seen <<'EOF'
Adler-32, the default: 792 of 9000 orders handled
SHA-256: 9000 of 9000 orders handled
no Deduplicator: called 2 times, handled 1 time
Deduplicator: called 1 time, handled 0 times
EOF
