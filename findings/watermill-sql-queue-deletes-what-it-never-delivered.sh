#!/usr/bin/env bash
# github.com/ThreeDotsLabs/watermill-sql/v4 v4.1.2 with PostgreSQL: the queue (PostgreSQLQueueSchema) reads
# messages in batches, of 100 by default, and by the doc of AckDeadline one that is not acknowledged in
# time is delivered again. But what is acknowledged in the database, once one message of the batch was,
# is all rows that were read, not those that were handled. Where a handler takes too long for the
# second, or the subscriber is closed while it has it, that one and all after it are acknowledged, or
# deleted (DeleteOnAck), and were never delivered. Nothing is logged as an error. The offsets of the
# other schema, PostgreSQLDefaultSchema, are right. With the delayed subscriber, AllowNoDelay adds an
# OR to the condition without parentheses: a message without a delay is delivered again and again.
#
# Expected: what was not acknowledged is delivered again; what was acknowledged is not.
# Seen, of messages 1 to 5, with DeleteOnAck, and of one without a delay, acknowledged each time:
#   all are handled: delivered 1 2 3 4 5, in the table: 0
#   2 is not acknowledged in time: delivered 1 2, in the table: 0
#   closed while 2 is handled, subscribed anew: delivered 1 2, in the table: 0
#   AllowNoDelay: delivered 1 1 1 and so on
#
# Needs Go and PostgreSQL's server. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
bin=$(dirname "$(command -v initdb || find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")
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
	stdsql "database/sql"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/lib/pq"
)

var db *stdsql.DB

func main() {
	var err error
	db, err = stdsql.Open("postgres", "user=postgres dbname=postgres sslmode=disable host="+os.Args[1])
	check(err)

	publish("a", 5)
	report("all are handled", "a", consume("a", nil))

	publish("b", 5)
	report("2 is not acknowledged in time", "b", consume("b", func(_ *sql.Subscriber, m *message.Message) bool {
		return string(m.Payload) != "2"
	}))

	publish("c", 5)
	first := consume("c", func(s *sql.Subscriber, m *message.Message) bool {
		if string(m.Payload) != "2" {
			return true
		}
		check(s.Close())
		return false
	})
	report("closed while 2 is handled, subscribed anew", "c", append(first, consume("c", nil)...))

	publish("d", 1)
	subscriber, err := sql.NewDelayedPostgreSQLSubscriber(sql.BeginnerFromStdSQL(db), sql.DelayedPostgreSQLSubscriberConfig{AllowNoDelay: true})
	check(err)
	delivered := read(subscriber, "d", func(*message.Message) bool { return true })
	if len(delivered) > 3 {
		delivered = append(delivered[:3], "and so on")
	}
	fmt.Println("AllowNoDelay: delivered", strings.Join(delivered, " "))
}

func publish(topic string, n int) {
	publisher, err := sql.NewPublisher(sql.BeginnerFromStdSQL(db), sql.PublisherConfig{SchemaAdapter: sql.PostgreSQLQueueSchema{}, AutoInitializeSchema: true}, nil)
	check(err)
	for i := range n {
		check(publisher.Publish(topic, message.NewMessage(watermill.NewUUID(), fmt.Append(nil, i+1))))
	}
}

// consume acknowledges what handle says, or all, until nothing comes any more, and returns what came.
func consume(topic string, handle func(*sql.Subscriber, *message.Message) bool) []string {
	deadline := time.Second
	subscriber, err := sql.NewSubscriber(sql.BeginnerFromStdSQL(db), sql.SubscriberConfig{
		SchemaAdapter:  sql.PostgreSQLQueueSchema{},
		OffsetsAdapter: sql.PostgreSQLQueueOffsetsAdapter{DeleteOnAck: true},
		AckDeadline:    &deadline,
		PollInterval:   100 * time.Millisecond,
	}, nil)
	check(err)
	defer subscriber.Close()
	return read(subscriber, topic, func(m *message.Message) bool {
		return handle == nil || handle(subscriber, m)
	})
}

func read(subscriber message.Subscriber, topic string, handle func(*message.Message) bool) (delivered []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	messages, err := subscriber.Subscribe(ctx, topic)
	check(err)
	for m := range messages {
		delivered = append(delivered, string(m.Payload))
		if handle(m) {
			m.Ack()
		}
	}
	return delivered
}

func report(what, topic string, delivered []string) {
	var rows int
	check(db.QueryRow("SELECT count(*) FROM watermill_" + topic).Scan(&rows))
	fmt.Printf("%s: delivered %s, in the table: %d\n", what, strings.Join(delivered, " "), rows)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/ThreeDotsLabs/watermill-sql/v4@v4.1.2 github.com/ThreeDotsLabs/watermill@v1.5.1 github.com/lib/pq@v1.10.9 2>/dev/null
timeout 120 go run . "$dir/postgres" | tee seen
diff - seen <<'EOF'
all are handled: delivered 1 2 3 4 5, in the table: 0
2 is not acknowledged in time: delivered 1 2, in the table: 0
closed while 2 is handled, subscribed anew: delivered 1 2, in the table: 0
AllowNoDelay: delivered 1 1 1 and so on
EOF
