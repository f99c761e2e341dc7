package bulk

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"

	"github.com/minio/minio-go/v7"
)

// A BucketError says what the bucket did not do, and what to do about it. Its text has
// no credential, and nothing of a record.
type BucketError struct {
	// Bucket is the bucket's name.
	Bucket string
	// Op is what was tried, such as "putting shop-20261128T010000Z.json".
	Op string
	// Code is the error code of S3, such as "AccessDenied", and StatusCode is the
	// status. Both are zero if there was no answer.
	Code       string
	StatusCode int
	// Advice says what to do, for people to read. It may be empty.
	Advice string
	// Err is the cause.
	Err error
}

func (e *BucketError) Error() string {
	text := "bulk: bucket " + e.Bucket + ": " + e.Op + ": "
	switch {
	case e.Code != "":
		text += e.Code
	case e.StatusCode != 0:
		text += "status " + strconv.Itoa(e.StatusCode)
	default:
		text += fmt.Sprint(e.Err)
	}
	if e.Advice != "" {
		text += " (" + e.Advice + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *BucketError) Unwrap() error { return e.Err }

// problem returns an error of the client as one of this package.
func (b *s3) problem(err error, op string) error {
	if failed, ok := errors.AsType[*url.Error](err); ok { // whose URL may be signed
		err = failed.Err
	}
	e := &BucketError{Bucket: b.name, Op: op, Err: err}
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok {
		e.Code, e.StatusCode = answer.Code, answer.StatusCode
		e.Advice = advice(answer.Code, answer.Region)
	}
	return e
}

// advice says what to do about an error code of S3. The region is that of the bucket, if
// the server has told it.
func advice(code, region string) string {
	switch code {
	case "NoSuchBucket":
		return "create the bucket, or correct its name, region or endpoint"
	case "AccessDenied":
		return "allow these credentials s3:PutObject, s3:PutObjectAcl, s3:GetObject, s3:ListBucket and s3:AbortMultipartUpload"
	case "InvalidAccessKeyId", "InvalidSecurity", "InvalidToken":
		return "the credentials are not valid"
	case "SignatureDoesNotMatch":
		return "the credentials are not valid, or something on the way, such as a proxy, alters requests"
	case "ExpiredToken":
		return "the credentials have expired"
	case "RequestTimeTooSkewed", "RequestExpired":
		return "set the clock of this machine"
	case "AccessControlListNotSupported":
		return `set the bucket's Object Ownership to "Bucket owner preferred", so that objects can be granted to Kissmetrics`
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException":
		if isRegion(region) {
			return "set the region of the bucket, which is " + region
		}
		return "set the region of the bucket"
	case "NotImplemented":
		return "this server lacks conditional writes (If-None-Match) or grants"
	case "InvalidArgument", "InvalidRequest":
		return "this server may not know the grantee (see WithGrantee), or the bucket retains objects by an Object Lock, of which an import wants none"
	case "QuotaExceeded", "XMinioStorageFull":
		return "the bucket has no room"
	}
	return ""
}

// isRegion reports whether a text of a server may be the name of a region.
func isRegion(text string) bool {
	return regexp.MustCompile(`^[a-z0-9-]{1,40}$`).MatchString(text)
}
