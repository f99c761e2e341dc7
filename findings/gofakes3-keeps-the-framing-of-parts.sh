#!/usr/bin/env bash
# github.com/johannesboyne/gofakes3 v1.2.0 with github.com/minio/minio-go/v7 v7.4.1: over
# plain HTTP the client signs a body in chunks, each with its length and signature
# before it (Content-Encoding: aws-chunked). The fake takes them out of an object that
# comes in one request, but not out of the parts of a larger one, which it stores as
# they came. So a test of uploads in parts reads back other bytes than it wrote, and
# its fault seems to be the program's. No request fails.
#
# Expected: what is read is what was written, in parts or not.
# Seen:
#   5 MiB in one request: 5242880 bytes are read, equal
#   5 MiB in parts: 5250166 bytes are read, and begin "10000;chunk-signature="
#   5 MiB in parts, DisableContentSha256: 5242880 bytes are read, equal
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

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func main() {
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	client, err := minio.New(server.Listener.Addr().String(), &minio.Options{
		Creds: credentials.NewStaticV4("key", "secret", ""), Region: "us-east-1",
	})
	check(err)
	ctx := context.Background()
	check(client.MakeBucket(ctx, "bucket", minio.MakeBucketOptions{Region: "us-east-1"}))
	written := bytes.Repeat([]byte("data."), 1<<20)
	try := func(name string, size int64, options minio.PutObjectOptions) {
		options.PartSize = 5 << 20
		_, err := client.PutObject(ctx, "bucket", "object", bytes.NewReader(written), size, options)
		check(err)
		object, err := client.GetObject(ctx, "bucket", "object", minio.GetObjectOptions{})
		check(err)
		read, err := io.ReadAll(object)
		check(err)
		how := "equal"
		if !bytes.Equal(read, written) {
			how = fmt.Sprintf("and begin %q", read[:22])
		}
		fmt.Printf("5 MiB %s: %d bytes are read, %s\n", name, len(read), how)
	}
	try("in one request", int64(len(written)), minio.PutObjectOptions{})
	try("in parts", -1, minio.PutObjectOptions{}) // of an unknown size
	try("in parts, DisableContentSha256", -1, minio.PutObjectOptions{DisableContentSha256: true})
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/minio/minio-go/v7@v7.4.1 github.com/johannesboyne/gofakes3@v1.2.0 2>/dev/null
go run . | tee seen
diff - seen <<'EOF'
5 MiB in one request: 5242880 bytes are read, equal
5 MiB in parts: 5250166 bytes are read, and begin "10000;chunk-signature="
5 MiB in parts, DisableContentSha256: 5242880 bytes are read, equal
EOF
