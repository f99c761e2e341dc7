package s3test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

const (
	region    = "us-east-1"
	accessKey = "shop"
	secretKey = "s3cret-of-the-shop"
)

// serve starts the gateway, which can be done once in a process, and returns its
// address. Kissmetrics has an account, since no other can be granted anything.
func serve(t *testing.T) (address string, backend *posix.Posix) {
	t.Helper()
	dir := t.TempDir()
	sidecar := t.TempDir()
	attributes, err := meta.NewSideCar(sidecar)
	require.NoError(t, err)
	backend, err = posix.New(dir, attributes, posix.PosixOpts{SideCarDir: sidecar})
	require.NoError(t, err)
	accounts, err := auth.NewInternal(auth.Account{Access: accessKey, Secret: secretKey, Role: auth.RoleAdmin}, t.TempDir())
	require.NoError(t, err)
	require.NoError(t, accounts.CreateAccount(auth.Account{Access: bulk.Grantee, Secret: "other", Role: auth.RoleUser}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = listener.Addr().String()
	require.NoError(t, listener.Close())

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess: accessKey, RootUserSecret: secretKey, Region: region, Ports: []string{address},
			MaxConnections: 100, MaxRequests: 100, MultipartMaxParts: 10_000, KeepAlive: true, Quiet: true, IAMService: accounts,
		})
	}()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	}, time.Minute, 10*time.Millisecond)
	return address, backend
}

func bucketAt(address, name string) bulk.Bucket {
	return bulk.Bucket{
		Name: name, Base: "shop", Endpoint: "http://" + address, Region: region, PathStyle: true,
		AccessKey: accessKey, SecretKey: secretKey,
	}
}

func event(i int) kissmetrics.Record {
	return kissmetrics.NewEvent("ann", fmt.Sprintf("event %06d", i), time.Unix(1_700_000_000, 0), kissmetrics.Text("padding", strings.Repeat("x", 500)))
}

// sent returns a sender that runs, with records.
func sent(t *testing.T, to bulk.Bucket, from, until int, options ...bulk.Option) *bulk.Sender {
	t.Helper()
	s, err := bulk.Open(t.Context(), t.TempDir(), to, append(options, bulk.WithBackoff(time.Millisecond, 10*time.Millisecond))...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
		assert.NoError(t, s.Close(context.Background()))
	})
	for i := from; i < until; i += 1000 {
		var records []kissmetrics.Record
		for j := i; j < min(i+1000, until); j++ {
			records = append(records, event(j))
		}
		require.NoError(t, s.Send(t.Context(), records))
	}
	return s
}

func flush(t *testing.T, s *bulk.Sender) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		stats, _ := s.Stats(t.Context())
		require.NoError(t, err, stats.LastError)
	}
}

func TestBulkWithAServerThatChecks(t *testing.T) {
	address, backend := serve(t)
	client, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: region})
	require.NoError(t, err)

	t.Run("says that the bucket is missing, and delivers when it is there", func(t *testing.T) {
		s := sent(t, bucketAt(address, "missing"), 0, 10)
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, s.Flush(short), context.DeadlineExceeded)
		stats, err := s.Stats(t.Context())
		require.NoError(t, err)
		assert.Contains(t, stats.LastError, "NoSuchBucket (create the bucket")
		require.NoError(t, client.MakeBucket(t.Context(), "missing", minio.MakeBucketOptions{Region: region}))
		flush(t, s)
		assert.Equal(t, 10, count(t, client, "missing"))
	})

	t.Run("says that a key is wrong", func(t *testing.T) {
		for key, code := range map[string]string{"AccessKey": "InvalidAccessKeyId", "SecretKey": "SignatureDoesNotMatch"} {
			to := bucketAt(address, "missing")
			if key == "AccessKey" {
				to.AccessKey = "unknown"
			} else {
				to.SecretKey = "wrong"
			}
			s := sent(t, to, 0, 1)
			report, err := s.Check(t.Context())
			require.NoError(t, err)
			assert.Contains(t, report.String(), code)
			assert.Contains(t, report.String(), "the credentials are not valid")
		}
	})

	t.Run("checks, and says what is missing", func(t *testing.T) {
		require.NoError(t, client.MakeBucket(t.Context(), "checked", minio.MakeBucketOptions{Region: region}))
		s := sent(t, bucketAt(address, "checked"), 0, 5)
		report, err := s.Check(t.Context())
		require.NoError(t, err)
		t.Log(report)
		assert.Len(t, report.Missing, 3, "%s", report)
		require.NoError(t, backend.PutBucketOwnershipControls(t.Context(), "checked", types.ObjectOwnershipBucketOwnerPreferred))
		grant(t, address, "checked")
		report, err = s.Check(t.Context())
		require.NoError(t, err)
		t.Log(report)
		require.Len(t, report.Missing, 1, "%s", report)
		assert.Contains(t, report.Missing[0], "a first file")
		flush(t, s)
		report, err = s.Check(t.Context())
		require.NoError(t, err)
		assert.True(t, report.OK(), "%s", report)
		assert.Equal(t, 1, report.Objects)
		assert.Equal(t, 5, count(t, client, "checked"))
	})

	t.Run("uploads in parts", func(t *testing.T) {
		require.NoError(t, client.MakeBucket(t.Context(), "parts", minio.MakeBucketOptions{Region: region}))
		flush(t, sent(t, bucketAt(address, "parts"), 0, 40_000))
		assert.Equal(t, 40_000, count(t, client, "parts"))
	})

	t.Run("overwrites nothing", func(t *testing.T) {
		require.NoError(t, client.MakeBucket(t.Context(), "shared", minio.MakeBucketOptions{Region: region}))
		one, other := sent(t, bucketAt(address, "shared"), 0, 20_000), sent(t, bucketAt(address, "shared"), 20_000, 40_000)
		flushed := make(chan error, 1)
		go func() { flushed <- other.Flush(t.Context()) }()
		flush(t, one)
		require.NoError(t, <-flushed)
		assert.Equal(t, 40_000, count(t, client, "shared"))
	})

	t.Run("loses and repeats nothing in a crash", func(t *testing.T) { testCrashes(t, address, client) })
}

// count returns how many records the objects of a bucket have, no two of which may be
// equal.
func count(t *testing.T, client *minio.Client, bucket string) int {
	t.Helper()
	seen := make(map[string]bool)
	for object := range client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		require.NoError(t, object.Err)
		assert.Regexp(t, `^shop-\d{8}T\d{6}Z\.json$`, object.Key)
		reader, err := client.GetObject(t.Context(), bucket, object.Key, minio.GetObjectOptions{})
		require.NoError(t, err)
		for r, err := range kissmetrics.ReadImport(reader) {
			require.NoError(t, err)
			require.False(t, seen[r.Name], "%s is there twice", r.Name)
			seen[r.Name] = true
		}
	}
	return len(seen)
}

// grant gives Kissmetrics the permissions of a bucket, as its owner does by hand.
func grant(t *testing.T, address, bucket string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/"+bucket+"?acl=", http.NoBody)
	require.NoError(t, err)
	for _, permission := range []string{"Read", "Write", "Read-Acp"} {
		request.Header.Set("X-Amz-Grant-"+permission, bulk.Grantee) // Amazon wants id="…", the gateway only the id
	}
	request.Header.Set("X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	response, err := http.DefaultClient.Do(signer.SignV4(*request, accessKey, secretKey, "", region))
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
}
