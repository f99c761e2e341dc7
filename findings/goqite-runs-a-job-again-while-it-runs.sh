#!/usr/bin/env bash
# maragu.dev/goqite v0.4.0 (jobs) with modernc.org/sqlite v1.62.0: a message that is received is hidden
# for the queue's Timeout, 5 seconds by default, and the runner of jobs, by its doc, extends that
# automatically while the job runs, by Extend each time. But it sleeps for four fifths of Extend before
# it does so for the first time, whatever the Timeout. With an Extend of a minute, so that a long job
# needs fewer of them, the first comes too late: after 5 seconds the message is received again, by the
# same runner, and the job runs twice at once, then three times. Extend and Timeout are options of
# two types in two packages, and neither doc names the other.
#
# Expected: while the job runs, nobody else gets it.
# Seen, of one job that takes 3 seconds, from a queue with Timeout 1 s:
#   Extend 1s: started 1 time, at most 1 at once
#   Extend 10s: started 3 times, at most 3 at once
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
	"path/filepath"
	"sync"
	"time"

	"maragu.dev/goqite"
	"maragu.dev/goqite/jobs"
	_ "modernc.org/sqlite"
)

func main() {
	run(time.Second)
	run(10 * time.Second)
}

func run(extend time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
	defer cancel()
	db, err := sql.Open("sqlite", fmt.Sprintf("file:%s.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)", extend))
	check(err)
	db.SetMaxOpenConns(1)
	schema, err := os.ReadFile(filepath.Join(os.Args[1], "schema_sqlite.sql"))
	check(err)
	_, err = db.Exec(string(schema))
	check(err)

	queue := goqite.New(goqite.NewOpts{DB: db, Name: "jobs", Timeout: time.Second})
	runner := jobs.NewRunner(jobs.NewRunnerOpts{Queue: queue, Limit: 10, Extend: extend})
	var mutex sync.Mutex
	started, running, most := 0, 0, 0
	runner.Register("report", func(context.Context, []byte) error {
		mutex.Lock()
		started++
		running++
		most = max(most, running)
		mutex.Unlock()
		time.Sleep(3 * time.Second)
		mutex.Lock()
		running--
		mutex.Unlock()
		return nil
	})
	_, err = jobs.Create(ctx, queue, "report", goqite.Message{Body: []byte("May")})
	check(err)
	runner.Start(ctx)
	times := "times"
	if started == 1 {
		times = "time"
	}
	fmt.Printf("Extend %s: started %d %s, at most %d at once\n", extend, started, times, most)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get maragu.dev/goqite@v0.4.0 modernc.org/sqlite@v1.62.0 2>/dev/null
timeout 120 go run . "$(go list -m -f '{{.Dir}}' maragu.dev/goqite)" | tee seen
diff - seen <<'EOF'
Extend 1s: started 1 time, at most 1 at once
Extend 10s: started 3 times, at most 3 at once
EOF
