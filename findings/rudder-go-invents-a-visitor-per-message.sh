#!/usr/bin/env bash
# github.com/rudderlabs/analytics-go/v4 v4.2.1: a Track, Page, Screen or Group that has
# a UserId only is sent with an anonymousId as well, which is another random one in
# each message. An Identify is sent without. A program that knows its user so reports
# a new visitor with every event.
#
# Seen:
#   identify userId=ada anonymousId=none
#   track userId=ada anonymousId=random
#   track userId=ada anonymousId=random
#   page userId=ada anonymousId=random
#   distinct anonymousIds of 3 messages: 3
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
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/rudderlabs/analytics-go/v4"
)

func main() {
	type message struct{ Type, UserID, AnonymousID string }
	received := make(chan []message, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Batch []message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			panic(err)
		}
		received <- body.Batch
	}))
	client, err := analytics.NewWithConfig("key", analytics.Config{DataPlaneUrl: server.URL, BatchSize: 4, DisableGzip: true})
	if err != nil {
		panic(err)
	}
	for _, m := range []analytics.Message{
		analytics.Identify{UserId: "ada"},
		analytics.Track{UserId: "ada", Event: "A"},
		analytics.Track{UserId: "ada", Event: "B"},
		analytics.Page{UserId: "ada", Name: "C"},
	} {
		if err := client.Enqueue(m); err != nil {
			panic(err)
		}
	}
	distinct := map[string]bool{}
	for _, m := range <-received {
		id := "none"
		if m.AnonymousID != "" {
			id, distinct[m.AnonymousID] = "random", true
		}
		fmt.Printf("%s userId=%s anonymousId=%s\n", m.Type, m.UserID, id)
	}
	fmt.Println("distinct anonymousIds of 3 messages:", len(distinct))
	client.Close()
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/rudderlabs/analytics-go/v4@v4.2.1 2>/dev/null
go run . | tee seen
diff - seen <<'EOF'
identify userId=ada anonymousId=none
track userId=ada anonymousId=random
track userId=ada anonymousId=random
page userId=ada anonymousId=random
distinct anonymousIds of 3 messages: 3
EOF
