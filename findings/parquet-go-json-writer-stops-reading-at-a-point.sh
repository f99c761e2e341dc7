#!/usr/bin/env bash
# github.com/xitongsys/parquet-go v1.6.2 (JSONWriter), read by github.com/parquet-go/parquet-go v0.32.0: a
# line of JSON is written into typed columns by scanning the text of each value, which ends at the
# first character that does not fit, and what comes after it is passed over. So 1e3, which is JSON for
# a thousand and what some programs write for it, is 1 in a column of whole numbers, and 12.99 is 12.
# A date, which in JSON is a text, becomes its year: a TIMESTAMP_MILLIS of an event of 2026 is two
# seconds after the beginning of 1970, and a DATE is a day of 1975. Nothing of it is an error, neither
# in Write nor in WriteStop. In a column of DOUBLE the same numbers are right.
#
# Expected: the value that the JSON has, or an error.
# Seen, of an event with each column, all with Write <nil>, WriteStop <nil>:
#   INT64 1e3: 1
#   INT32 12.99: 12
#   DOUBLE 1e3: 1000
#   TIMESTAMP_MILLIS "2026-01-02T03:04:05Z": 1970-01-01T00:00:02.026Z
#   DATE "2026-01-02": 1975-07-20
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
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/xitongsys/parquet-go/writer"
)

const schema = `{"Tag": "name=event", "Fields": [
	{"Tag": "name=a, type=INT64"},
	{"Tag": "name=b, type=INT32"},
	{"Tag": "name=c, type=DOUBLE"},
	{"Tag": "name=d, type=INT64, convertedtype=TIMESTAMP_MILLIS"},
	{"Tag": "name=e, type=INT32, convertedtype=DATE"}
]}`

func main() {
	var file bytes.Buffer
	w, err := writer.NewJSONWriterFromWriter(schema, &file, 1)
	check(err)
	check(w.Write(`{"a": 1e3, "b": 12.99, "c": 1e3, "d": "2026-01-02T03:04:05Z", "e": "2026-01-02"}`))
	check(w.WriteStop())

	f, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	check(err)
	rows := f.RowGroups()[0].Rows()
	read := make([]parquet.Row, 1)
	if _, err := rows.ReadRows(read); err != nil && err != io.EOF {
		panic(err)
	}
	row := read[0]
	fmt.Println("INT64 1e3:", row[0].Int64())
	fmt.Println("INT32 12.99:", row[1].Int32())
	fmt.Println("DOUBLE 1e3:", row[2].Double())
	fmt.Println(`TIMESTAMP_MILLIS "2026-01-02T03:04:05Z":`, time.UnixMilli(row[3].Int64()).UTC().Format("2006-01-02T15:04:05.000Z"))
	fmt.Println(`DATE "2026-01-02":`, time.Unix(int64(row[4].Int32())*24*60*60, 0).UTC().Format(time.DateOnly))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/xitongsys/parquet-go@v1.6.2 github.com/parquet-go/parquet-go@v0.32.0 2>/dev/null
go mod tidy 2>/dev/null
timeout 120 go run . | tee seen
diff - seen <<'EOF'
INT64 1e3: 1
INT32 12.99: 12
DOUBLE 1e3: 1000
TIMESTAMP_MILLIS "2026-01-02T03:04:05Z": 1970-01-01T00:00:02.026Z
DATE "2026-01-02": 1975-07-20
EOF
