#!/usr/bin/env bash
# github.com/failsafe-go/failsafe-go v0.9.8 (failsafehttp): a body that can Seek, such as a
# file, is sought to its start for each attempt, the first included, and all attempts read
# the one file. So a hedge, which is a second request beside one that is slow, moves the first
# back and shares the rest with it: each of them gets some of the file, and since the length
# of a file is not known to the request, each ends as if it were whole. The server answers
# 200 and the caller gets it, without an error. And a program that has read a header and
# sends the rest sends the header too. A body that can only Read is right in both.
#
# Expected: what is yet to be read of the file, in each request.
# Seen, of a file of 64 MiB from which "[header]" was read, and a server that is slow to read:
#   no policy, a file: begins with [header], requests 1, 200, whole true
#   no policy, a reader: begins with data, requests 1, 200, whole true
#   a hedge, a file: begins with [header], requests 2, 200, whole false
#   a hedge, a reader: begins with data, requests 2, 200, whole true
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
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
)

const (
	header = "[header]"
	size   = 64 << 20
)

// upload sends the file with the policies, and says what the server received.
func upload(name string, requests int, open func(*os.File) io.Reader) {
	type body struct {
		head string
		size int64
	}
	var read, arrived sync.WaitGroup
	read.Add(requests)
	arrived.Add(requests)
	received := make(chan body, requests)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := make([]byte, len(header))
		_, err := io.ReadFull(r.Body, head)
		check(err)
		arrived.Done()
		arrived.Wait() // slow to read, until there is a hedge
		rest, err := io.Copy(io.Discard, r.Body)
		check(err)
		received <- body{string(head), int64(len(head)) + rest}
		read.Done()
		read.Wait() // no answer before all were read
	}))
	defer server.Close()

	file, err := os.Open("events")
	check(err)
	_, err = io.ReadFull(file, make([]byte, len(header)))
	check(err)
	var policies []failsafe.Policy[*http.Response]
	if requests > 1 {
		policies = append(policies, hedgepolicy.NewWithDelay[*http.Response](100*time.Millisecond))
	}
	request, err := http.NewRequest(http.MethodPost, server.URL, open(file))
	check(err)
	client := &http.Client{Transport: failsafehttp.NewRoundTripper(nil, policies...)}
	response, err := client.Do(request)
	check(err)
	check(response.Body.Close())

	whole, begin := true, "data"
	for range requests {
		one := <-received
		whole = whole && one.size >= size
		if one.head == header {
			begin = header
		}
	}
	fmt.Printf("%s: begins with %s, requests %d, %d, whole %t\n", name, begin, requests, response.StatusCode, whole)
}

func main() {
	check(os.WriteFile("events", append([]byte(header), bytes.Repeat([]byte("an event in here"), size/16)...), 0o600))
	file := func(f *os.File) io.Reader { return f }
	reader := func(f *os.File) io.Reader { return io.MultiReader(f) }
	upload("no policy, a file", 1, file)
	upload("no policy, a reader", 1, reader)
	upload("a hedge, a file", 2, file)
	upload("a hedge, a reader", 2, reader)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/failsafe-go/failsafe-go@v0.9.8 2>/dev/null
timeout 60 go run . | tee seen
diff - seen <<'EOF'
no policy, a file: begins with [header], requests 1, 200, whole true
no policy, a reader: begins with data, requests 1, 200, whole true
a hedge, a file: begins with [header], requests 2, 200, whole false
a hedge, a reader: begins with data, requests 2, 200, whole true
EOF
