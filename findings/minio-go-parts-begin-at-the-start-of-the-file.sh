#!/usr/bin/env bash
# github.com/minio/minio-go/v7 v7.4.1: PutObject of an *os.File sends a small object from
# where the last read of the file ended. A larger one, which goes in parts, is sent from
# the start of the file, whatever was read. A program that has read a header, and puts the
# rest, stores the header instead, and the end of the file is missing. The size is
# right, and no error says so. With SendContentMd5, or wrapped in a reader that can only
# Read, it is right.
#
# Expected: PutObject sends what is yet to be read, whatever the size.
# Seen, of a file of 8 bytes "[header]", data and "[end]", the header of which was read:
#   6 MiB in one request: data, then "[end]"
#   6 MiB in parts: "[header]", then data
#   6 MiB in parts, only io.Reader: data, then "[end]"
#   6 MiB in parts, SendContentMd5: data, then "[end]"
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
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const header, end = "[header]", "[end]"

func main() {
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	client, err := minio.New(server.Listener.Addr().String(), &minio.Options{
		Creds: credentials.NewStaticV4("key", "secret", ""), Region: "us-east-1",
	})
	check(err)
	ctx := context.Background()
	check(client.MakeBucket(ctx, "bucket", minio.MakeBucketOptions{Region: "us-east-1"}))
	data := bytes.Repeat([]byte("data."), 6<<20/5)
	check(os.WriteFile("file", append(append([]byte(header), data...), end...), 0o600))
	try := func(name string, only bool, options minio.PutObjectOptions) {
		file, err := os.Open("file")
		check(err)
		defer file.Close()
		_, err = io.ReadFull(file, make([]byte, len(header)))
		check(err)
		var reader io.Reader = file
		if only {
			reader = struct{ io.Reader }{file}
		}
		options.DisableContentSha256 = true // or the fake keeps the framing of parts
		_, err = client.PutObject(ctx, "bucket", "object", reader, int64(len(data)+len(end)), options)
		check(err)
		object, err := client.GetObject(ctx, "bucket", "object", minio.GetObjectOptions{})
		check(err)
		stored, err := io.ReadAll(object)
		check(err)
		switch {
		case bytes.Equal(stored, append(data[:len(data):len(data)], end...)):
			fmt.Printf("6 MiB %s: data, then %q\n", name, end)
		case bytes.Equal(stored, append([]byte(header), data...)[:len(stored)]):
			fmt.Printf("6 MiB %s: %q, then data\n", name, header)
		default:
			fmt.Printf("6 MiB %s: something else\n", name)
		}
	}
	parts := minio.PutObjectOptions{PartSize: 5 << 20}
	try("in one request", false, minio.PutObjectOptions{})
	try("in parts", false, parts)
	try("in parts, only io.Reader", true, parts)
	parts.SendContentMd5 = true
	try("in parts, SendContentMd5", false, parts)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/minio/minio-go/v7@v7.4.1 github.com/johannesboyne/gofakes3@v1.2.0 2>/dev/null
timeout 300 go run . | tee seen
diff - seen <<'EOF'
6 MiB in one request: data, then "[end]"
6 MiB in parts: "[header]", then data
6 MiB in parts, only io.Reader: data, then "[end]"
6 MiB in parts, SendContentMd5: data, then "[end]"
EOF
