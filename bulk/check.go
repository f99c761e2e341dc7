package bulk

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// A Report is what [Sender.Check] has found.
type Report struct {
	// Objects is how many objects begin with the base, up to 1000: what Kissmetrics has
	// not imported and deleted yet.
	Objects int
	// Oldest is the first of them.
	Oldest string
	// Missing says what keeps Kissmetrics from importing, or from importing each record
	// once, and what to do about it, for people to read. It is empty if all is well.
	Missing []string
	// Unknown says what could not be looked at.
	Unknown []string
}

// OK reports whether nothing is missing.
func (r Report) OK() bool { return len(r.Missing) == 0 }

// String returns a line for everything that is missing or unknown.
func (r Report) String() string {
	var lines []string
	for _, m := range r.Missing {
		lines = append(lines, "missing: "+m)
	}
	for _, u := range r.Unknown {
		lines = append(lines, "unknown: "+u)
	}
	if r.OK() {
		lines = append(lines, "nothing is missing; "+strconv.Itoa(r.Objects)+" objects are there")
	}
	return strings.Join(lines, "\n")
}

// Check looks whether Kissmetrics can import from the bucket: whether the bucket is
// there, objects can be written and granted, the server keeps them as this package needs
// it, the bucket itself is granted to Kissmetrics, and a first file is there, without
// which Kissmetrics does not set up an import. To try that, it writes an empty object
// beside those that Kissmetrics imports, named by the base and ".check", and removes it.
//
// What is missing is in the report, not in the error. The error is that of ctx or
// [kissmetrics.ErrClosed].
func (s *Sender) Check(ctx context.Context) (Report, error) {
	ctx = nilness.Context(ctx)
	if s.ctx.Err() != nil {
		return Report{}, kissmetrics.ErrClosed
	}
	report, err := s.bucket.check(ctx, s.base)
	if err == nil && len(report.Missing) == 0 && report.Objects == 0 {
		report.Missing = append(report.Missing, "a first file: send a record and call Flush, before the import is set up at Kissmetrics")
	}
	return report, err
}

func (b *s3) check(ctx context.Context, base string) (r Report, err error) {
	missing := func(err error, op string) { r.Missing = append(r.Missing, b.problem(err, op).Error()) }
	listCtx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	for object := range b.client.ListObjectsIter(listCtx, b.name, minio.ListObjectsOptions{Prefix: base, Recursive: true, MaxKeys: 1000}) {
		if object.Err != nil {
			missing(object.Err, "listing objects")
			return r, ctx.Err()
		}
		if strings.HasSuffix(object.Key, ".json") {
			if r.Objects++; r.Objects == 1 {
				r.Oldest = object.Key
			}
		}
		if r.Objects == 1000 {
			break
		}
	}
	lacks, err := b.tryObject(ctx, base+".check")
	r.Missing = append(r.Missing, lacks...)
	if err != nil {
		missing(err, "putting an object")
	}
	if b.grantee == "" {
		return r, ctx.Err()
	}
	if isRefused(err) {
		r.Missing = append(r.Missing, b.tryUngranted(ctx, base+".check", err)...)
	}
	granted, err := b.grants(ctx, "")
	if err != nil {
		r.Unknown = append(r.Unknown, b.problem(err, "reading the bucket's permissions").Error())
		return r, ctx.Err()
	}
	for _, permission := range []string{"READ", "WRITE", "READ_ACP"} {
		if !granted(permission) {
			r.Missing = append(r.Missing, "the bucket does not grant "+permission+" to Kissmetrics (canonical user "+b.grantee+"): add it to the bucket's access control list")
		}
	}
	return r, ctx.Err()
}

// tryObject writes an object as those that are imported, and removes it. What the server
// lacks has consequences that it does not speak of.
func (b *s3) tryObject(ctx context.Context, object string) (lacks []string, err error) {
	remove := func() error {
		ctx, cancel := context.WithTimeout(ctx, b.timeout)
		defer cancel()
		return b.client.RemoveObject(ctx, b.name, object, minio.RemoveObjectOptions{})
	}
	_ = remove() // of a check that was interrupted; it may be denied
	err = b.upload(ctx, object, "check", 0, strings.NewReader(""))
	if err == nil {
		lacks = b.tryGrant(ctx, object)
	}
	if isCode(err, "PreconditionFailed") { // it may not be removed, but it was written
		err = nil
	}
	if err == nil {
		more, failed := b.tryServer(ctx, object)
		lacks, err = append(lacks, more...), failed
	}
	return lacks, errors.Join(err, ignoreDenied(remove()))
}

// tryGrant looks whether the server has kept the grant of an object, which some servers,
// and proxies that sign requests anew, drop without a word. Not every server tells.
func (b *s3) tryGrant(ctx context.Context, object string) (lacks []string) {
	if b.grantee == "" {
		return nil
	}
	granted, err := b.grants(ctx, object)
	if err != nil || granted("READ") && granted("READ_ACP") {
		return nil
	}
	return []string{"the grant of objects to Kissmetrics: it was taken, but the object does not have it, so Kissmetrics cannot read it; let it in by other means, such as a policy, and use WithGrantee(\"\")"}
}

// tryUngranted says whether an object is refused only for its grant. The code alone does
// not say so: access is denied for either reason.
func (b *s3) tryUngranted(ctx context.Context, object string, refused error) (lacks []string) {
	ungranted := *b
	ungranted.grantee = ""
	if _, err := ungranted.tryObject(ctx, object); err != nil {
		return nil
	}
	lack := "the grant of objects to Kissmetrics: it alone is refused, for without it an object can be put"
	if isCode(refused, "AccessDenied") {
		lack += "; allow these credentials s3:PutObjectAcl"
	}
	return []string{lack}
}

// tryServer looks what the server makes of an object that is there.
func (b *s3) tryServer(ctx context.Context, object string) (lacks []string, err error) {
	if there, _ := b.has(ctx, object, "check"); there == objectOther {
		lacks = append(lacks, "metadata: this server does not keep that of objects, so a file whose upload was not answered is there twice")
	}
	for _, again := range []struct {
		how string
		put func() error
	}{
		{"at once", func() error { return b.uploadWhole(ctx, object, 0, strings.NewReader(""), b.options("other")) }},
		{"in parts", func() error { return b.uploadParts(ctx, object, 1, 1, strings.NewReader("\n"), b.options("other")) }},
	} {
		switch err := again.put(); {
		case err == nil:
			lacks = append(lacks, "conditional writes (If-None-Match) "+again.how+": this server overwrites objects, so that two directories with one base lose records; give each a base of its own")
		case !isCode(err, "PreconditionFailed"):
			return lacks, err
		}
	}
	return lacks, nil
}

func ignoreDenied(err error) error {
	if isCode(err, "AccessDenied") {
		return nil
	}
	return err
}

// grants reports what the access control list of an object, or of the bucket if it has no
// name, grants to Kissmetrics. The client cannot ask for it, but can sign that request.
func (b *s3) grants(ctx context.Context, object string) (granted func(permission string) bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	signed, err := b.client.Presign(ctx, http.MethodGet, b.name, object, time.Minute, url.Values{"acl": {""}})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, signed.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		failed := minio.ErrorResponse{}
		_ = xml.Unmarshal(body, &failed)
		failed.StatusCode = response.StatusCode
		return nil, failed
	}
	var policy struct {
		XMLName xml.Name `xml:"AccessControlPolicy"` // and not a page of a proxy
		Grants  []struct {
			Grantee    struct{ ID string }
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	if err := xml.Unmarshal(body, &policy); err != nil {
		return nil, err
	}
	return func(permission string) bool {
		for _, grant := range policy.Grants {
			if grant.Grantee.ID == b.grantee && (grant.Permission == permission || grant.Permission == "FULL_CONTROL") {
				return true
			}
		}
		return false
	}, nil
}
