#!/usr/bin/env bash
# github.com/rudderlabs/analytics-go/v4 v4.2.1: Config.DefaultContext, which by its doc
# is set on all messages that have no context of their own, never reaches the server.
# They carry context.library only. What a program says of itself once, such as its app
# and version, is in no event; said in each message, it is in that one.
#
# Expected: a message without a context has the default one.
# Seen:
#   A, without a context: app=none locale=none library=analytics-go
#   B, with a context: app=shop locale=nl-NL library=analytics-go
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
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/rudderlabs/analytics-go/v4"
)

func main() {
	type message struct {
		Event   string
		Context struct {
			App, Library struct{ Name string }
			Locale       string
		}
	}
	received := make(chan []message, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Batch []message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			panic(err)
		}
		received <- body.Batch
	}))
	context := analytics.Context{App: analytics.AppInfo{Name: "shop"}, Locale: "nl-NL"}
	client, err := analytics.NewWithConfig("key", analytics.Config{
		DataPlaneUrl: server.URL, BatchSize: 2, DisableGzip: true, DefaultContext: &context,
	})
	if err != nil {
		panic(err)
	}
	for _, m := range []analytics.Track{
		{UserId: "ada", Event: "A, without a context"},
		{UserId: "ada", Event: "B, with a context", Context: &context},
	} {
		if err := client.Enqueue(m); err != nil {
			panic(err)
		}
	}
	for _, m := range <-received {
		fmt.Printf("%s: app=%s locale=%s library=%s\n", m.Event,
			cmp.Or(m.Context.App.Name, "none"), cmp.Or(m.Context.Locale, "none"), cmp.Or(m.Context.Library.Name, "none"))
	}
	client.Close()
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/rudderlabs/analytics-go/v4@v4.2.1 2>/dev/null
go run . | tee seen
diff - seen <<'EOF'
A, without a context: app=none locale=none library=analytics-go
B, with a context: app=shop locale=nl-NL library=analytics-go
EOF
