#!/usr/bin/env bash
# github.com/systemd/slog-journal v0.1.2: a level of slog is a number, and by slog's doc a program may
# have its own, between those with a name or beyond. The handler knows eight numbers. Every other is
# written with the priority of info. That goes for 12, which slog's example of levels has for an
# emergency and OpenTelemetry for fatal, so that "journalctl -p err", and an alarm that is made of it,
# do not show the worst of all. A warning that is a little worse than others is information, too, and
# so is a trace below debug. And LevelVar asks the environment, by its doc, when it is invoked for the
# first time. It does so each time: where systemd starts a unit anew to debug it, Set has no effect.
#
# Expected: what is worse than an error is at least an error; what was set is the level.
# Seen, of the priority in the journal, where 0 is an emergency, 3 an error, 6 info and 7 debug:
#   ERROR 3, ERROR+1 2, ERROR+2 1, ERROR+3 0, ERROR+4 6, ERROR+8 6
#   INFO 6, INFO+1 5, INFO+2 6, WARN 4, WARN+1 6
#   DEBUG 7, DEBUG+1 6, DEBUG-4 6
#   LevelVar after Set(ERROR), with DEBUG_INVOCATION: DEBUG
#   LevelVar after Set(ERROR), without: ERROR
#
# The journal's socket is one of the script's own, which only the script sees.
# Needs Go, Linux and unshare. Exits with another status than 0 if that changes.
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
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"

	slogjournal "github.com/systemd/slog-journal"
)

func main() {
	check(os.MkdirAll("/run/systemd/journal", 0o755))
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/run/systemd/journal/socket", Net: "unixgram"})
	check(err)
	handler, err := slogjournal.NewHandler(&slogjournal.Options{Level: slog.Level(-100)})
	check(err)
	logger := slog.New(handler)
	priority := regexp.MustCompile(`(?m)^PRIORITY=(\d)$`)
	for _, levels := range [][]slog.Level{{8, 9, 10, 11, 12, 16}, {0, 1, 2, 4, 5}, {-4, -3, -8}} {
		var seen []string
		for _, level := range levels {
			logger.Log(context.Background(), level, "The disk is gone")
			datagram := make([]byte, 4096)
			n, err := socket.Read(datagram)
			check(err)
			seen = append(seen, fmt.Sprintf("%s %s", level, priority.FindSubmatch(datagram[:n])[1]))
		}
		fmt.Println(strings.Join(seen, ", "))
	}

	for _, how := range []string{"with DEBUG_INVOCATION", "without"} {
		var level slogjournal.LevelVar
		level.Level()
		level.Set(slog.LevelError)
		fmt.Printf("LevelVar after Set(ERROR), %s: %s\n", how, level.Level())
		check(os.Unsetenv("DEBUG_INVOCATION"))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/systemd/slog-journal@v0.1.2 2>/dev/null
go build -o finding .
DEBUG_INVOCATION=1 timeout 60 unshare --map-root-user --mount sh -c 'mount -t tmpfs tmpfs /run && exec ./finding' | tee seen
diff - seen <<'EOF'
ERROR 3, ERROR+1 2, ERROR+2 1, ERROR+3 0, ERROR+4 6, ERROR+8 6
INFO 6, INFO+1 5, INFO+2 6, WARN 4, WARN+1 6
DEBUG 7, DEBUG+1 6, DEBUG-4 6
LevelVar after Set(ERROR), with DEBUG_INVOCATION: DEBUG
LevelVar after Set(ERROR), without: ERROR
EOF
