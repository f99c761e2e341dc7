#!/usr/bin/env bash
# github.com/acaloiaro/neoq v0.72.2 with its backend in memory: StartCron runs a handler on a schedule.
# The queue behind it is named after the schedule, in words, and not after the handler. So of two
# handlers with one schedule, such as two reports at midnight, the second takes the queue of the first.
# The first is never run, though StartCron returned no error for it. And since each of the two calls
# puts a job into the queue whenever it is time, the second is run twice. That the queue is the same
# is seen nowhere: the handlers were made by NewPeriodic, which takes no queue.
#
# Expected: each handler is run once a second.
# Seen, of two StartCron with handlers "sum" and "mail", in 5 seconds:
#   * * * * * * and * * * * * *: StartCron <nil> <nil>, sum never, mail about 10 times
#   * * * * * * and 0-59 * * * * *: StartCron <nil> <nil>, sum about 5 times, mail about 5 times
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
	"sync/atomic"
	"time"

	"github.com/acaloiaro/neoq"
	"github.com/acaloiaro/neoq/backends/memory"
	"github.com/acaloiaro/neoq/handler"
)

func main() {
	run("* * * * * *", "* * * * * *")
	run("* * * * * *", "0-59 * * * * *")
}

func run(first, second string) {
	ctx := context.Background()
	queue, err := neoq.New(ctx, neoq.WithBackend(memory.Backend))
	if err != nil {
		panic(err)
	}
	var sum, mail atomic.Int64
	count := func(n *atomic.Int64) handler.Handler {
		return handler.NewPeriodic(func(context.Context) error {
			n.Add(1)
			return nil
		})
	}
	errFirst := queue.StartCron(ctx, first, count(&sum))
	errSecond := queue.StartCron(ctx, second, count(&mail))
	time.Sleep(5*time.Second + 500*time.Millisecond)
	fmt.Printf("%s and %s: StartCron %v %v, sum %s, mail %s\n", first, second, errFirst, errSecond, times(sum.Load()), times(mail.Load()))
}

func times(n int64) string {
	switch {
	case n == 0:
		return "never"
	case n >= 4 && n <= 6:
		return "about 5 times"
	case n >= 8 && n <= 12:
		return "about 10 times"
	}
	return fmt.Sprint(n, " times")
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/acaloiaro/neoq@v0.72.2 2>/dev/null
timeout 120 go run . | tee seen
diff - seen <<'EOF'
* * * * * * and * * * * * *: StartCron <nil> <nil>, sum never, mail about 10 times
* * * * * * and 0-59 * * * * *: StartCron <nil> <nil>, sum about 5 times, mail about 5 times
EOF
