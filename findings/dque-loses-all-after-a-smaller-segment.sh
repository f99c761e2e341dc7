#!/usr/bin/env bash
# github.com/joncrlsn/dque v0.0.0-20211108142734-c2ef48c5192a: a queue on disk, in segments of as many
# items as Open is told each time. A segment that is full and used up is removed by the Dequeue of
# its last item, and only then. If a queue whose items have all been taken is opened with a smaller
# number, its one segment is suddenly full. The next item goes into a second one. But Dequeue looks
# into the first, which has nothing more to give and so is never removed, and says that the queue is
# empty. Whatever is put into it from then on is accepted and counted by Size, and never comes out,
# not even if the queue is opened with the old number again. By the docs only Size may be
# inaccurate after such a change.
#
# Expected: what was enqueued is dequeued.
# Seen, of 5 items that were put and taken with 10 items a segment, and of 3 that were put later:
#   10 items a segment: Enqueue <nil> <nil> <nil>, Size 3, Dequeue 6 7 8
#   5 items a segment: Enqueue <nil> <nil> <nil>, Size 3, Dequeue dque is empty
#   5 items a segment, 10 again: Size 3, Dequeue dque is empty
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
	"os"

	"github.com/joncrlsn/dque"
)

type item struct{ Order int }

func main() {
	run("10 items a segment", 10)
	run("5 items a segment", 5)
}

func run(what string, segment int) {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	queue := open(dir, 10)
	for order := range 5 {
		check(queue.Enqueue(&item{order + 1}))
	}
	for range 5 {
		_, err := queue.Dequeue()
		check(err)
	}
	check(queue.Close())

	queue = open(dir, segment)
	fmt.Printf("%s: Enqueue", what)
	for order := range 3 {
		fmt.Print(" ", queue.Enqueue(&item{order + 6}))
	}
	fmt.Printf(", %s\n", take(queue))
	check(queue.Close())
	if segment != 10 {
		queue = open(dir, 10)
		fmt.Printf("%s, 10 again: %s\n", what, take(queue))
		check(queue.Close())
	}
}

func open(dir string, segment int) *dque.DQue {
	queue, err := dque.NewOrOpen("orders", dir, segment, func() any { return &item{} })
	check(err)
	return queue
}

// take takes three items, or as many as there are.
func take(queue *dque.DQue) string {
	text := fmt.Sprintf("Size %d, Dequeue", queue.Size())
	for range 3 {
		object, err := queue.Dequeue()
		if err != nil {
			return fmt.Sprintf("%s %v", text, err)
		}
		text += fmt.Sprint(" ", object.(*item).Order)
	}
	return text
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/joncrlsn/dque@v0.0.0-20211108142734-c2ef48c5192a 2>/dev/null
timeout 120 go run . | tee seen
diff - seen <<'EOF'
10 items a segment: Enqueue <nil> <nil> <nil>, Size 3, Dequeue 6 7 8
5 items a segment: Enqueue <nil> <nil> <nil>, Size 3, Dequeue dque is empty
5 items a segment, 10 again: Size 3, Dequeue dque is empty
EOF
