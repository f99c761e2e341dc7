#!/usr/bin/env bash
# github.com/mikestefanello/backlite v0.6.0 with modernc.org/sqlite v1.62.0: by its doc, a task that has
# not finished ReleaseAfter after it was begun is released back to its queue, as a fail-safe. The
# dispatcher does not poll, and asks the database when it is told that there is a task, or when the
# next that it knows of is due. Of one whose process was killed nobody tells it. At its start it asks
# once, too early for such a task, and sets no timer for it. So the task stays "running" while the
# dispatcher is idle, until somebody adds another one, which on a quiet night is nobody.
#
# Expected: the task is run again once ReleaseAfter is over.
# Seen, of a task whose process ended while it ran, then of a new process with ReleaseAfter 1 s:
#   after 6 seconds: ran none, status of the task: running
#   after another task was added: ran lost, other
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
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/mikestefanello/backlite"
	_ "modernc.org/sqlite"
)

type order struct{ Name string }

func (order) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "orders", MaxAttempts: 5, Timeout: 500 * time.Millisecond}
}

func main() {
	if len(os.Args) > 1 {
		beginAndEnd()
		return
	}
	id, err := exec.Command(os.Args[0], "child").Output()
	check(err)

	var mutex sync.Mutex
	var ran []string
	client := open(func(_ context.Context, o order) error {
		mutex.Lock()
		defer mutex.Unlock()
		ran = append(ran, o.Name)
		return nil
	})
	client.Start(context.Background())
	time.Sleep(6 * time.Second)
	status, err := client.Status(context.Background(), string(id))
	check(err)
	text := fmt.Sprint(status)
	if status == backlite.TaskStatusRunning {
		text = "running"
	}
	mutex.Lock()
	fmt.Printf("after 6 seconds: ran %s, status of the task: %s\n", names(ran), text)
	mutex.Unlock()
	_, err = client.Add(order{"other"}).Save()
	check(err)
	time.Sleep(2 * time.Second)
	mutex.Lock()
	fmt.Printf("after another task was added: ran %s\n", names(ran))
	mutex.Unlock()
}

// beginAndEnd adds a task and ends, as if it were killed, while the task runs.
func beginAndEnd() {
	saved := make(chan string)
	client := open(func(context.Context, order) error {
		fmt.Print(<-saved)
		os.Exit(0)
		return nil
	})
	client.Start(context.Background())
	ids, err := client.Add(order{"lost"}).Save()
	check(err)
	saved <- ids[0]
	select {}
}

func open(process backlite.QueueProcessor[order]) *backlite.Client {
	db, err := sql.Open("sqlite", "file:tasks.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	check(err)
	client, err := backlite.NewClient(backlite.ClientConfig{DB: db, NumWorkers: 2, ReleaseAfter: time.Second})
	check(err)
	check(client.Install())
	client.Register(backlite.NewQueue(process))
	return client
}

func names(ran []string) string {
	if len(ran) == 0 {
		return "none"
	}
	return strings.Join(ran, ", ")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/mikestefanello/backlite@v0.6.0 modernc.org/sqlite@v1.62.0 2>/dev/null
go build -o finding .
timeout 60 ./finding | tee seen
diff - seen <<'EOF'
after 6 seconds: ran none, status of the task: running
after another task was added: ran lost, other
EOF
