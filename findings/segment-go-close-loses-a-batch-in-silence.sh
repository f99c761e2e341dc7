#!/usr/bin/env bash
# github.com/segmentio/analytics-go/v3 v3.3.0: a batch that is answered with 503 is
# tried up to ten times, unless the client is being closed. Then one 503 is the end of
# it, and Close returns nil. Only a Callback hears of it.
#
# Seen:
#   open:   2 requests, delivered
#   closed: 1 request, Close returned <nil>, the callback heard of a failure
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
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

type callback chan error

func (c callback) Success(analytics.Message)            { c <- nil }
func (c callback) Failure(_ analytics.Message, e error) { c <- e }

type quiet struct{}

func (quiet) Logf(string, ...interface{})   {}
func (quiet) Errorf(string, ...interface{}) {}

// start returns a client, of a server that answers 503 once.
func start(size int) (analytics.Client, callback, *atomic.Int64) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	heard := make(callback, 10)
	client, err := analytics.NewWithConfig("key", analytics.Config{
		Endpoint: server.URL, BatchSize: size, Interval: time.Hour, Callback: heard, Logger: quiet{},
	})
	if err != nil {
		panic(err)
	}
	if err := client.Enqueue(analytics.Track{UserId: "ada", Event: "A"}); err != nil {
		panic(err)
	}
	return client, heard, &requests
}

func main() {
	client, heard, requests := start(1) // full at once
	if err := <-heard; err != nil {
		panic(err)
	}
	fmt.Printf("open:   %d requests, delivered\n", requests.Load())
	client.Close()

	client, heard, requests = start(10) // sent by Close
	err := client.Close()
	failure := <-heard
	fmt.Printf("closed: %d request, Close returned %v, the callback heard of ", requests.Load(), err)
	if failure != nil {
		fmt.Println("a failure")
	} else {
		fmt.Println("a success")
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/segmentio/analytics-go/v3@v3.3.0 2>/dev/null
go run . | tee seen
diff - seen <<'EOF'
open:   2 requests, delivered
closed: 1 request, Close returned <nil>, the callback heard of a failure
EOF
