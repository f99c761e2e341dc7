#!/usr/bin/env bash
# github.com/fluent/fluent-logger-golang v1.10.2: the fields of a struct may be named by the tags
# msg and codec, which are those of the libraries msgp and codec. But the tag is taken
# whole. A field that these libraries leave out, msg:"-", such as a password, is sent, under
# the name "-". An option becomes part of the name, so that what msgp calls plan, for
# msg:"plan,omitempty", is a field "plan,omitempty" of the event, and there is no plan.
#
# Expected: the tags mean what they mean to the libraries they come from.
# Seen, of struct{ID string `msg:"id"`; Plan string `msg:"plan,omitempty"`; Password string `msg:"-"`}:
#   map[-:secret id:ada plan,omitempty:gold]
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
	"net"

	"github.com/fluent/fluent-logger-golang/fluent"
	"github.com/tinylib/msgp/msgp"
)

type user struct {
	ID       string `msg:"id"`
	Plan     string `msg:"plan,omitempty"`
	Password string `msg:"-"`
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	logger, err := fluent.New(fluent.Config{FluentPort: listener.Addr().(*net.TCPAddr).Port, FluentHost: "127.0.0.1"})
	check(err)
	check(logger.Post("user", user{ID: "ada", Plan: "gold", Password: "secret"}))
	conn, err := listener.Accept()
	check(err)
	event, err := msgp.NewReader(conn).ReadIntf() // tag, time, record, options
	check(err)
	fmt.Println(event.([]any)[2])
	check(logger.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/fluent/fluent-logger-golang@v1.10.2 2>/dev/null
timeout 60 go run . | tee seen
diff - seen <<'EOF'
map[-:secret id:ada plan,omitempty:gold]
EOF
