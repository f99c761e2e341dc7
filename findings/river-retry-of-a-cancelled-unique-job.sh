#!/usr/bin/env bash
# github.com/riverqueue/river v0.51.2 with PostgreSQL: a job that is unique by its
# arguments and was cancelled makes room for another of the same arguments. While that
# one waits, JobRetry of the cancelled one fails with the raw error of the driver, 23505
# of a unique index. Insert, under the same rule, returns no error: it reports the job
# that is there (UniqueSkippedAsDuplicate). A program that lets people retry jobs has to
# know pgx and the name of River's index to tell this from a broken database.
#
# Expected: JobRetry reports the equal job as Insert does, or an error of River's own.
# Seen:
#   insert: job 1
#   insert again: job 1, skipped as a duplicate
#   cancel job 1, insert: job 3
#   retry of job 1: pgconn.PgError 23505 of river_job_unique_idx
#   after job 3 is deleted, retry of job 1: no error, the state is available
#
# Needs Go and Debian's postgresql (PostgreSQL is run by nobody if this is run by root).
# Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
bin=$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
as() { if [ "$(id -u)" = 0 ]; then su -s /bin/bash nobody -c "$*"; else bash -c "$*"; fi }
mkdir "$dir/postgres"
[ "$(id -u)" != 0 ] || { chmod 755 "$dir" && chown nobody "$dir/postgres"; }
stop() { as "cd / && '$bin/pg_ctl' -D '$dir/postgres/data' -m immediate stop" >/dev/null 2>&1 || true; }
trap 'stop; chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
as "cd / && '$bin/initdb' -D '$dir/postgres/data' -U postgres -A trust" >/dev/null
as "cd / && '$bin/pg_ctl' -D '$dir/postgres/data' -l '$dir/postgres/log' -w -o '-c listen_addresses= -k $dir/postgres' start" >/dev/null
export GOWORK=off GOFLAGS=-mod=mod
cat >main.go <<'EOF'
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type mail struct {
	To string `json:"to"`
}

func (mail) Kind() string { return "mail" }

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "user=postgres dbname=postgres host="+os.Args[1])
	check(err)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	check(err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	check(err)
	client, err := river.NewClient(driver, &river.Config{})
	check(err)
	insert := func(what string) int64 {
		inserted, err := client.Insert(ctx, mail{"ada"}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
		check(err)
		fmt.Printf("%s: job %d", what, inserted.Job.ID)
		if inserted.UniqueSkippedAsDuplicate {
			fmt.Print(", skipped as a duplicate")
		}
		fmt.Println()
		return inserted.Job.ID
	}

	cancelled := insert("insert")
	insert("insert again")
	_, err = client.JobCancel(ctx, cancelled)
	check(err)
	other := insert("cancel job 1, insert")
	_, err = client.JobRetry(ctx, cancelled)
	raw, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		panic(err)
	}
	fmt.Printf("retry of job 1: pgconn.PgError %s of %s\n", raw.Code, raw.ConstraintName)
	_, err = client.JobDelete(ctx, other)
	check(err)
	job, err := client.JobRetry(ctx, cancelled)
	check(err)
	fmt.Printf("after job 3 is deleted, retry of job 1: no error, the state is %s\n", job.State)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/riverqueue/river@v0.51.2 github.com/riverqueue/river/riverdriver/riverpgxv5@v0.51.2 github.com/jackc/pgx/v5@v5.12.0 2>/dev/null
go run . "$dir/postgres" | tee seen
diff - seen <<'EOF'
insert: job 1
insert again: job 1, skipped as a duplicate
cancel job 1, insert: job 3
retry of job 1: pgconn.PgError 23505 of river_job_unique_idx
after job 3 is deleted, retry of job 1: no error, the state is available
EOF
