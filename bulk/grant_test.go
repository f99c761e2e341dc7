package bulk_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// grants returns the headers of a request that grant something.
func grants(r *http.Request) map[string][]string {
	found := make(map[string][]string)
	for name, values := range r.Header {
		if strings.Contains(name, "Grant") || strings.Contains(name, "Acl") {
			found[name] = values
		}
	}
	return found
}

// The servers of the tests do not heed the grants of an object, so this looks at the
// requests: they have to be as Amazon documents them, where an object begins and
// nowhere else.
func TestObjectsAreGrantedAsAmazonDocumentsIt(t *testing.T) {
	const id = `id="6acb81d7742ac437833f51ecb2a40c74cd831ce26909e5f72354fa6af42cfb1f"`
	tests := map[string]struct {
		options []bulk.Option
		begins  func(r *http.Request) bool
		want    map[string][]string
	}{
		"at once": {
			nil, func(r *http.Request) bool { return r.Method == http.MethodPut },
			map[string][]string{"X-Amz-Grant-Read": {id}, "X-Amz-Grant-Read-Acp": {id}},
		},
		"in parts": {
			[]bulk.Option{bulk.WithPartSize(1000)},
			func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") },
			map[string][]string{"X-Amz-Grant-Read": {id}, "X-Amz-Grant-Read-Acp": {id}},
		},
		"to another": {
			[]bulk.Option{bulk.WithGrantee("other")}, func(r *http.Request) bool { return r.Method == http.MethodPut },
			map[string][]string{"X-Amz-Grant-Read": {`id="other"`}, "X-Amz-Grant-Read-Acp": {`id="other"`}},
		},
		"to nobody": {
			[]bulk.Option{bulk.WithGrantee("")}, func(r *http.Request) bool { return r.Method == http.MethodPut },
			map[string][]string{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			begun := 0
			s3 := newServer(t)
			s3.failWith(func(_ http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				if !test.begins(r) {
					assert.Empty(t, grants(r), "%s %s", r.Method, r.URL)
					return false
				}
				begun++
				assert.Equal(t, test.want, grants(r))
				for name := range test.want {
					assert.Contains(t, r.Header.Get("Authorization"), strings.ToLower(name)+";", "it is signed")
				}
				return false
			})
			s := open(t, t.TempDir(), bucketOf(s3.URL), test.options...)
			for range 20 {
				require.NoError(t, s.Send(t.Context(), []kissmetrics.Record{record(strings.Repeat("x", 200))}))
			}
			start(t, s)
			flush(t, s)
			assert.Equal(t, 1, begun)
			assert.Len(t, s3.records(t), 20)
		})
	}
}

// TestABucketWithoutGrants is one whose Object Ownership is "Bucket owner enforced".
func TestABucketWithoutGrants(t *testing.T) {
	t.Parallel()
	s3 := newServer(t)
	s3.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		refused := len(grants(r)) > 0
		if refused {
			answer(w, r, http.StatusBadRequest, "AccessControlListNotSupported")
		}
		return refused
	})
	s := open(t, t.TempDir(), bucketOf(s3.URL))
	report, err := s.Check(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, report.Missing)
	assert.Equal(t, `bulk: bucket shop-events: putting an object: AccessControlListNotSupported (set the bucket's Object Ownership to "Bucket owner preferred", so that objects can be granted to Kissmetrics)`, report.Missing[0])

	s = open(t, t.TempDir(), bucketOf(s3.URL), bulk.WithGrantee(""))
	send(t, s, "a")
	start(t, s)
	flush(t, s)
	report, err = s.Check(t.Context())
	require.NoError(t, err)
	assert.True(t, report.OK(), "%s", report)
}

// The code of an answer does not say whether it is the object that is refused, or only
// its grant.
func TestCheckTellsThatOnlyTheGrantIsRefused(t *testing.T) {
	const alone = "the grant of objects to Kissmetrics: it alone is refused"
	all := func(r *http.Request) bool { return puts(r) || completes(r) }
	granted := func(r *http.Request) bool { return len(grants(r)) > 0 }
	for name, test := range map[string]struct {
		code    string
		refused func(r *http.Request) bool
		want    string
		putting bool
	}{
		"a policy denies granting":        {"AccessDenied", granted, alone + ", for without it an object can be put; allow these credentials s3:PutObjectAcl", false},
		"a policy denies putting":         {"AccessDenied", all, "s3:PutObject", true},
		"a proxy drops what is granted":   {"SignatureDoesNotMatch", granted, alone, false},
		"the secret key is wrong":         {"SignatureDoesNotMatch", all, "something on the way, such as a proxy, alters requests", true},
		"the server does not know whom":   {"InvalidArgument", granted, alone, false},
		"an Object Lock wants checksums":  {"InvalidRequest", all, "Object Lock", true},
		"the bucket has no grants at all": {"AccessControlListNotSupported", granted, alone, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s3 := newServer(t)
			s3.failWith(func(w http.ResponseWriter, r *http.Request) bool {
				refused := test.refused(r)
				if refused {
					answer(w, r, http.StatusForbidden, test.code)
				}
				return refused
			})
			report, err := open(t, t.TempDir(), bucketOf(s3.URL)).Check(t.Context())
			require.NoError(t, err)
			assert.Contains(t, report.Missing[0], test.code)
			assert.Contains(t, report.String(), test.want)
			assert.Equal(t, test.putting, !strings.Contains(report.String(), alone))
			objects, _ := s3.objects(t)
			assert.Empty(t, objects, "nothing is left behind")
		})
	}
}

// Some servers, and proxies that sign requests anew, drop grants without a word.
func TestCheckTellsThatAGrantWasDropped(t *testing.T) {
	list := func(to string, permissions ...string) string {
		var grants strings.Builder
		for _, p := range permissions {
			grants.WriteString("<Grant><Grantee><ID>" + to + "</ID></Grantee><Permission>" + p + "</Permission></Grant>")
		}
		return "<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList>" + grants.String() + "</AccessControlList></AccessControlPolicy>"
	}
	for name, test := range map[string]struct {
		status  int
		body    string
		dropped bool
	}{
		"kept":                      {200, list(bulk.Grantee, "READ", "READ_ACP"), false},
		"kept, as more":             {200, list(bulk.Grantee, "FULL_CONTROL"), false},
		"a half is kept":            {200, list(bulk.Grantee, "READ"), true},
		"it is the owner's":         {200, list("me", "FULL_CONTROL"), true},
		"nobody has any":            {200, list("me"), true},
		"it may not be looked at":   {403, code("AccessDenied"), false},
		"the server does not know":  {501, code("NotImplemented"), false},
		"it answers with something": {200, "<html></html>", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s3 := newServer(t)
			var asked atomic.Int64
			s3.failWith(func(w http.ResponseWriter, r *http.Request) bool {
				isList := r.Method == http.MethodGet && r.URL.Query().Has("acl")
				switch {
				case isList && strings.HasSuffix(r.URL.Path, "/shop.check"):
					asked.Add(1)
					said(test.status, "", test.body)(s3, w, r)
				case isList:
					said(200, "", list(bulk.Grantee, "FULL_CONTROL"))(s3, w, r)
				}
				return isList
			})
			s := open(t, t.TempDir(), bucketOf(s3.URL))
			send(t, s, "a")
			start(t, s)
			flush(t, s)
			report, err := s.Check(t.Context())
			require.NoError(t, err)
			assert.EqualValues(t, 1, asked.Load())
			assert.Equal(t, test.dropped, strings.Contains(report.String(), "the object does not have it"))
			assert.Equal(t, !test.dropped, report.OK(), "%s", report)
		})
	}
}

// Some servers take what they do not know for granted, and answer as if they had done it.
func TestCheckTellsWhatAServerDoesNotKeep(t *testing.T) {
	for name, test := range map[string]struct {
		forget string
		from   func(r *http.Request) bool
		want   string
	}{
		"objects":             {"If-None-Match", puts, "conditional writes (If-None-Match) at once: this server overwrites objects"},
		"objects, by parts":   {"If-None-Match", completes, "conditional writes (If-None-Match) in parts: this server overwrites objects"},
		"metadata of objects": {"X-Amz-Meta-Kissmetrics-File", puts, "metadata: this server does not keep that of objects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s3 := newServer(t)
			s := open(t, t.TempDir(), bucketOf(s3.URL), bulk.WithGrantee(""))
			send(t, s, "a")
			start(t, s)
			flush(t, s)
			report, err := s.Check(t.Context())
			require.NoError(t, err)
			require.True(t, report.OK(), "%s", report)
			s3.failWith(func(_ http.ResponseWriter, r *http.Request) bool {
				if test.from(r) {
					r.Header.Del(test.forget)
				}
				return false
			})
			report, err = s.Check(t.Context())
			require.NoError(t, err)
			require.Len(t, report.Missing, 1, "%s", report)
			assert.Contains(t, report.Missing[0], test.want)
			objects, _ := s3.objects(t)
			assert.Len(t, objects, 1, "nothing is left behind")
		})
	}
}
