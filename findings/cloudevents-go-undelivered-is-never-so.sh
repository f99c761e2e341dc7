#!/usr/bin/env bash
# github.com/cloudevents/sdk-go/v2 v2.16.2: the README sends an event, and then asks
# cloudevents.IsUndelivered(result), to end with "failed to send", or else to log "sent". Over
# HTTP that is false for every answer, be it 503 or 404, and even where nobody listens: a
# connection that fails is made a refusal by the recipient (NACK), though by its doc
# IsUndelivered is there for errors that are not from the recipient. It is true only for an
# event that is invalid. A program that was written after the README logs that all was
# sent, and loses all. To know, one has to ask IsACK.
#
# Expected: an event that nobody took is undelivered.
# Seen:
#   202: undelivered false, acknowledged true
#   404: undelivered false, acknowledged false
#   503: undelivered false, acknowledged false
#   nobody listens: undelivered false, acknowledged false
#   an event without a type: undelivered true, acknowledged false
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
	"net/http"
	"net/http/httptest"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

func main() {
	status := http.StatusAccepted
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	client, err := cloudevents.NewClientHTTP()
	check(err)
	ctx := cloudevents.ContextWithTarget(context.Background(), server.URL)
	event := cloudevents.NewEvent()
	event.SetSource("/shop")
	event.SetType("bought")
	check(event.SetData(cloudevents.ApplicationJSON, map[string]string{"item": "mug"}))
	say := func(what string) {
		result := client.Send(ctx, event)
		fmt.Printf("%s: undelivered %t, acknowledged %t\n", what, cloudevents.IsUndelivered(result), cloudevents.IsACK(result))
	}

	for _, status = range []int{202, 404, 503} {
		say(fmt.Sprint(status))
	}
	server.Close()
	say("nobody listens")
	event.SetType("")
	say("an event without a type")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/cloudevents/sdk-go/v2@v2.16.2 2>/dev/null
timeout 60 go run . | tee seen
diff - seen <<'EOF'
202: undelivered false, acknowledged true
404: undelivered false, acknowledged false
503: undelivered false, acknowledged false
nobody listens: undelivered false, acknowledged false
an event without a type: undelivered true, acknowledged false
EOF
