#!/usr/bin/env bash
# github.com/tidwall/buntdb v1.3.0: the file of a database is a log of what was set and deleted, which
# is read when it is opened. A value whose time (TTL) is over by then is passed over. But what the key
# had before it is in the log as well, was read a moment ago, and stays: with the value that was to
# expire, the older one is back, for good if it had no time. So a plan that was replaced by a trial
# of a week, a lock that was renewed, or a token that was to end, is what it was long ago, if the
# program was not running when the time was over. While it runs, the key is deleted when it expires.
#
# Expected: a value that expired is gone, and what it replaced stays replaced.
# Seen, of "gold" without a time, replaced by "trial" for 2 seconds:
#   open all the time, after 4 seconds: not found
#   closed at once, opened after 4 seconds: gold, expires: never
#   the same, but Shrink before it is closed: not found
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
	"errors"
	"fmt"
	"time"

	"github.com/tidwall/buntdb"
)

func main() {
	open := replace("a.db")
	closed := replace("b.db")
	check(closed.Close())
	shrunk := replace("c.db")
	check(shrunk.Shrink())
	check(shrunk.Close())
	time.Sleep(4 * time.Second)
	report("open all the time, after 4 seconds", open)
	report("closed at once, opened after 4 seconds", reopen("b.db"))
	report("the same, but Shrink before it is closed", reopen("c.db"))
}

func replace(name string) *buntdb.DB {
	db := reopen(name)
	set := func(value string, options *buntdb.SetOptions) {
		check(db.Update(func(tx *buntdb.Tx) error {
			_, _, err := tx.Set("plan", value, options)
			return err
		}))
	}
	set("gold", nil)
	set("trial", &buntdb.SetOptions{Expires: true, TTL: 2 * time.Second})
	return db
}

func reopen(name string) *buntdb.DB {
	db, err := buntdb.Open(name)
	check(err)
	return db
}

func report(what string, db *buntdb.DB) {
	check(db.View(func(tx *buntdb.Tx) error {
		value, err := tx.Get("plan")
		if errors.Is(err, buntdb.ErrNotFound) {
			fmt.Printf("%s: not found\n", what)
			return nil
		}
		check(err)
		left, err := tx.TTL("plan")
		check(err)
		expires := left.String()
		if left < 0 {
			expires = "never"
		}
		fmt.Printf("%s: %s, expires: %s\n", what, value, expires)
		return nil
	}))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/tidwall/buntdb@v1.3.0 2>/dev/null
timeout 120 go run . | tee seen
diff - seen <<'EOF'
open all the time, after 4 seconds: not found
closed at once, opened after 4 seconds: gold, expires: never
the same, but Shrink before it is closed: not found
EOF
