package bulk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// idKey is the metadata that says for which file an object was made.
const idKey = "Kissmetrics-File"

// maxParts is how many parts an object may have.
const maxParts = 10_000

// abortTimeout bounds how long to try to clean up what has failed.
const abortTimeout = 10 * time.Second

// s3 is a bucket of an S3 server.
type s3 struct {
	client  minio.Core
	name    string
	grantee string
	timeout time.Duration
	part    int64
}

func openS3(b *Bucket, c *config) (*s3, error) {
	endpoint, err := url.Parse(b.Endpoint)
	if err != nil {
		return nil, invalid("the endpoint is no URL")
	}
	if err := s3utils.CheckValidBucketName(b.Name); err != nil { // or each request would say so
		return nil, invalid("the name of the bucket: %s", err)
	}
	options := &minio.Options{
		Creds:        credentialsOf(b),
		Secure:       endpoint.Scheme == "https",
		Region:       b.Region,
		BucketLookup: minio.BucketLookupAuto,
		MaxRetries:   3, // of a request; the attempts of Run are besides
	}
	if b.PathStyle {
		options.BucketLookup = minio.BucketLookupPath
	}
	client, err := minio.New(endpoint.Host, options)
	if err != nil {
		return nil, invalid("%s", err)
	}
	client.SetAppInfo("kissmetrics-go-bulk", "1")
	return &s3{minio.Core{Client: client}, b.Name, c.grantee, c.requestTimeout, c.partSize}, nil
}

// credentialsOf returns what was given, or else what the usual chain finds.
func credentialsOf(b *Bucket) *credentials.Credentials {
	if b.AccessKey != "" {
		return credentials.NewStaticV4(b.AccessKey, b.SecretKey, b.SessionToken)
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})
}

func (b *s3) put(ctx context.Context, object, id string, size int64, lines io.Reader) error {
	switch there, err := b.has(ctx, object, id); {
	case there == objectOurs:
		return nil
	case there == objectOther:
		return errTaken
	case err != nil && !isRefused(err): // then putting says why, or it is only kept from looking
		return b.problem(err, "looking for "+object)
	}
	err := b.upload(ctx, object, id, size, lines)
	if err == nil || errors.Is(err, errNoFrame) {
		return err
	}
	if isCode(err, "PreconditionFailed") {
		switch there, err := b.has(ctx, object, id); {
		case there == objectOurs: // an attempt whose answer was lost
			return nil
		case err != nil && !isCode(err, "AccessDenied"): // it may be ours
			return b.problem(err, "looking for "+object)
		}
		return errTaken
	}
	return b.problem(err, "putting "+object)
}

type presence int

const (
	objectUnknown presence = iota
	objectMissing
	objectOurs
	objectOther
)

// has looks whether there is an object, and whether it was made for an id.
func (b *s3) has(ctx context.Context, object, id string) (presence, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	info, err := b.client.StatObject(ctx, b.name, object, minio.StatObjectOptions{})
	switch {
	case err == nil && info.UserMetadata[idKey] == id:
		return objectOurs, nil
	case err == nil:
		return objectOther, nil
	case isCode(err, "NoSuchKey"):
		return objectMissing, nil
	}
	return objectUnknown, err
}

func (b *s3) upload(ctx context.Context, object, id string, size int64, lines io.Reader) error {
	if part := max(b.part, (size+maxParts-1)/maxParts); size > part {
		return b.uploadParts(ctx, object, size, part, lines, b.options(id))
	}
	return b.uploadWhole(ctx, object, size, lines, b.options(id))
}

// options returns those of an object that is made for an id.
func (b *s3) options(id string) minio.PutObjectOptions {
	options := minio.PutObjectOptions{
		ContentType:          "application/json",
		DisableContentSha256: true, // given with the whole, not signed in chunks, which some servers cannot read
		UserMetadata:         map[string]string{idKey: id},
	}
	if b.grantee != "" {
		for _, permission := range []string{"X-Amz-Grant-Read", "X-Amz-Grant-Read-Acp"} {
			options.UserMetadata[permission] = `id="` + b.grantee + `"`
		}
	}
	return options
}

// uploadWhole uploads an object at once.
func (b *s3) uploadWhole(ctx context.Context, object string, size int64, lines io.Reader, options minio.PutObjectOptions) error {
	data := make([]byte, size)
	if _, err := io.ReadFull(lines, data); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	options.SetMatchETagExcept("*")
	done, err := b.client.PutObject(ctx, b.name, object, bytes.NewReader(data), size, "", checksumOf(data), options)
	return answered(done.ETag, err)
}

// answered returns an error also if the answer to what was put has no ETag. Then it is
// that of something else, such as a proxy's page. If the object is there all the same,
// the next attempt finds it.
func answered(etag string, err error) error {
	if err == nil && etag == "" {
		return errors.New("the answer has no ETag, so it is not that of an S3 server")
	}
	return err
}

// uploadParts uploads an object in parts, one of which is in memory at a time. The
// client's own way to do that overwrites an object that is there.
func (b *s3) uploadParts(ctx context.Context, object string, size, part int64, lines io.Reader, options minio.PutObjectOptions) error {
	request := func(f func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, b.timeout)
		defer cancel()
		return f(ctx)
	}
	var upload string
	err := request(func(ctx context.Context) (err error) {
		upload, err = b.client.NewMultipartUpload(ctx, b.name, object, options)
		return err
	})
	if err != nil {
		return err
	}
	var parts []minio.CompletePart
	buffer := make([]byte, part)
	for left := size; left > 0 && err == nil; left -= part {
		data := buffer[:min(left, part)]
		if _, err = io.ReadFull(lines, data); err != nil {
			break
		}
		err = request(func(ctx context.Context) error {
			done, err := b.client.PutObjectPart(ctx, b.name, object, upload, len(parts)+1, bytes.NewReader(data), int64(len(data)), minio.PutObjectPartOptions{Sha256Hex: checksumOf(data), DisableContentSha256: true})
			parts = append(parts, minio.CompletePart{PartNumber: len(parts) + 1, ETag: done.ETag})
			return answered(done.ETag, err)
		})
	}
	if err == nil {
		err = request(func(ctx context.Context) error {
			var options minio.PutObjectOptions
			options.SetMatchETagExcept("*")
			_, err := b.client.CompleteMultipartUpload(ctx, b.name, object, upload, parts, options)
			return err
		})
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(abortTimeout, b.timeout))
		defer cancel()
		_ = b.client.AbortMultipartUpload(ctx, b.name, object, upload)
	}
	return err
}

// checksumOf returns what the server compares with what has arrived.
func checksumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// isRefused reports whether an error is the answer of a server that could do what was
// asked, but will not. The answer to a look has no room for the reason.
func isRefused(err error) bool {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && answer.StatusCode >= 300 && answer.StatusCode < 500
}

// isCode reports whether an error is the answer of a server that has the code.
func isCode(err error, code string) bool {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok {
		return false
	}
	if answer.Code == "" && answer.StatusCode == http.StatusPreconditionFailed {
		answer.Code = "PreconditionFailed"
	}
	return answer.Code == code
}
