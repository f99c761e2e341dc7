#!/usr/bin/env bash
# SQLite 3.40.1 (Debian's sqlite3), journal mode WAL: when a disk, or a quota, is full,
# every commit fails for ever, even one that only deletes, because each is appended to
# the log. Nothing copies the log to the file meanwhile: that is done only after a
# commit has succeeded, once the log has 1,000 pages (wal_autocheckpoint). But the
# file has room for what is in the log, so that one wal_checkpoint, even PASSIVE,
# has the log begin anew, and all commits succeed again, on the same full disk.
#
# Expected: a commit for which the log has no room is tried again at its beginning.
# Seen, with no file allowed more than 128 KiB:
#   5 inserts after the log is full: 0 succeed
#   5 deletes after the log is full: 0 succeed
#   after a passive checkpoint: 5 inserts and 5 deletes of 10 succeed
#
# Needs sqlite3. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap '' XFSZ # a write that would pass the limit fails, as on a full disk
ulimit -f 128
# One connection, for the last that closes makes a checkpoint. .changes says after
# each statement how many rows it has changed.
insert() { for _ in $(seq "$1"); do echo "INSERT INTO t (x) VALUES (zeroblob(500));"; done; }
delete() { for _ in $(seq "$1"); do echo "DELETE FROM t WHERE id = (SELECT min(id) FROM t);"; done; }
count() { echo "SELECT '$1', count(*), coalesce(min(id), 0) FROM t;"; }
{
	echo "PRAGMA journal_mode = WAL;"
	echo "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x BLOB);"
	insert 200 # until the log is full,
	delete 20  # which write a page less
	count full
	insert 5
	count inserted
	delete 5
	count deleted
	echo "PRAGMA wal_checkpoint(PASSIVE);"
	count copied
	insert 5
	delete 5
	count again
} | sqlite3 "$dir/db" 2>/dev/null >"$dir/out" || true
row() { grep "^$1|" "$dir/out"; }
rows() { row "$1" | cut -d'|' -f2; }
first() { row "$1" | cut -d'|' -f3; }
echo "5 inserts after the log is full: $(($(rows inserted) - $(rows full))) succeed"
echo "5 deletes after the log is full: $(($(first deleted) - $(first inserted))) succeed"
inserts=$(($(rows again) - $(rows copied) + $(first again) - $(first copied))) deletes=$(($(first again) - $(first copied)))
echo "after a passive checkpoint: $inserts inserts and $deletes deletes of 10 succeed"
[ "$(rows inserted)" = "$(rows full)" ] && [ "$(first deleted)" = "$(first inserted)" ] && [ "$inserts $deletes" = "5 5" ]
