#!/usr/bin/env bash
# github.com/minio/minio-go/v7 v7.4.1: PutObject with SetMatchETagExcept("*"), which asks
# that nothing be overwritten, holds for an object that goes in one request. A larger
# one, or one whose size is not known (-1), goes in parts. Then If-None-Match is sent
# with the request that begins the upload, where S3 does not look at it, and not with
# the one that completes it, where it counts. The object is overwritten, and no error
# says so. It is the same client, option and bucket; only the size differs.
#
# Expected: PutObject is refused where there is an object, whatever the size.
# Seen, with the server of github.com/versity/versitygw v1.8.0, on an object of 5 bytes:
#   PutObject of 6 bytes: PreconditionFailed; the object has 5 bytes
#   parts completed with If-None-Match by hand: PreconditionFailed; the object has 5 bytes
#   PutObject of 6 MiB: no error; the object has 6291456 bytes
#   of the latter, with If-None-Match: POST uploads=
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
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

const bucket, object, region = "bucket", "object", "us-east-1"

// directory makes a folder in the working directory, and returns its path.
func directory(name string) string {
	path, err := filepath.Abs(name)
	check(err)
	check(os.Mkdir(path, 0o700))
	return path
}

// serve starts the server, and returns its address.
func serve(ctx context.Context) string {
	objects, sidecar, folder := directory("objects"), directory("attributes"), directory("accounts")
	attributes, err := meta.NewSideCar(sidecar)
	check(err)
	backend, err := posix.New(objects, attributes, posix.PosixOpts{SideCarDir: sidecar})
	check(err)
	accounts, err := auth.NewInternal(auth.Account{Access: "key", Secret: "secret", Role: auth.RoleAdmin}, folder)
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	address := listener.Addr().String()
	check(listener.Close())
	go func() {
		check(embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess: "key", RootUserSecret: "secret", Region: region, Ports: []string{address},
			MaxConnections: 10, MaxRequests: 10, MultipartMaxParts: 10_000, Quiet: true, IAMService: accounts,
		}))
	}()
	for range 1000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			check(conn.Close())
			return address
		}
		time.Sleep(10 * time.Millisecond)
	}
	panic("the server does not start")
}

// conditional has the requests with If-None-Match.
type conditional []string

func (c *conditional) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("If-None-Match") == "*" {
		*c = append(*c, r.Method+" "+r.URL.RawQuery)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func main() {
	ctx := context.Background()
	var requests conditional
	client, err := minio.NewCore(serve(ctx), &minio.Options{
		Creds: credentials.NewStaticV4("key", "secret", ""), Region: region, Transport: &requests,
	})
	check(err)
	check(client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: region}))
	put := func(size int, options minio.PutObjectOptions) error {
		options.PartSize = 5 << 20
		_, err := client.Client.PutObject(ctx, bucket, object, bytes.NewReader(make([]byte, size)), int64(size), options)
		return err
	}
	say := func(what string, outcome error) {
		code := "no error"
		if outcome != nil {
			code = minio.ToErrorResponse(outcome).Code
		}
		info, err := client.StatObject(ctx, bucket, object, minio.StatObjectOptions{})
		check(err)
		fmt.Printf("%s: %s; the object has %d bytes\n", what, code, info.Size)
	}

	check(put(5, minio.PutObjectOptions{}))
	var absent minio.PutObjectOptions
	absent.SetMatchETagExcept("*")
	say("PutObject of 6 bytes", put(6, absent))

	upload, err := client.NewMultipartUpload(ctx, bucket, object, minio.PutObjectOptions{})
	check(err)
	part, err := client.PutObjectPart(ctx, bucket, object, upload, 1, strings.NewReader("by hand"), 7, minio.PutObjectPartOptions{})
	check(err)
	_, err = client.CompleteMultipartUpload(ctx, bucket, object, upload, []minio.CompletePart{{PartNumber: 1, ETag: part.ETag}}, absent)
	say("parts completed with If-None-Match by hand", err)

	requests = nil
	say("PutObject of 6 MiB", put(6<<20, absent))
	fmt.Println("of the latter, with If-None-Match:", strings.Join(requests, ", "))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/minio/minio-go/v7@v7.4.1 github.com/versity/versitygw@v1.8.0 2>/dev/null
go run . | grep -v '^Using sidecar' | tee seen
diff - seen <<'EOF'
PutObject of 6 bytes: PreconditionFailed; the object has 5 bytes
parts completed with If-None-Match by hand: PreconditionFailed; the object has 5 bytes
PutObject of 6 MiB: no error; the object has 6291456 bytes
of the latter, with If-None-Match: POST uploads=
EOF
