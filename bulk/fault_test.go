package bulk_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

// answer answers with an error of S3.
func answer(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>VALUE-s3cret</Message></Error>", code)
}

// times returns a fault that happens to the first n requests of a method.
func times(n int64, method string, fault func(w http.ResponseWriter, r *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || seen.Add(1) > n {
			return false
		}
		fault(w, r)
		return true
	}
}

func TestAFailedUploadIsTriedAgainUntilItSucceeds(t *testing.T) {
	const large = 40_000 // bytes of an upload in parts
	tests := map[string]struct {
		times   int64
		method  string
		fault   func(w http.ResponseWriter, r *http.Request)
		options []bulk.Option
	}{
		"500": {5, "PUT", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 500, "InternalError") }, nil},
		"503": {5, "PUT", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 503, "SlowDown") }, nil},
		"a proxy's page": {2, "PUT", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>VALUE-s3cret</html>", http.StatusBadGateway)
		}, nil},
		"a torn connection":             {3, "PUT", tear, nil},
		"a torn connection, by looking": {3, "HEAD", tear, nil},
		"a slow server": {1, "PUT", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, []bulk.Option{bulk.WithRequestTimeout(200 * time.Millisecond)}},
		"access denied for a while": {3, "PUT", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 403, "AccessDenied") }, nil},
		"a part torn":               {3, "PUT", tear, []bulk.Option{bulk.WithPartSize(large / 4)}},
		"no parts":                  {3, "POST", func(w http.ResponseWriter, r *http.Request) { answer(w, r, 500, "InternalError") }, []bulk.Option{bulk.WithPartSize(large / 4)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s3 := newServer(t)
			s3.failWith(times(test.times, test.method, test.fault))
			s := open(t, t.TempDir(), bucketOf(s3.URL), test.options...)
			var want []string
			for i := range 10 {
				name := fmt.Sprintf("e%d-%s", i, strings.Repeat("x", 200))
				want = append(want, name)
				r := record(name)
				r.Properties[0].Value = strings.Repeat("v", large/10)
				require.NoError(t, s.Send(t.Context(), []kissmetrics.Record{r}))
			}
			stop := start(t, s)
			flush(t, s)
			stop()
			objects, _ := s3.objects(t)
			assert.Len(t, objects, 1)
			assert.Equal(t, want, names(s3.records(t)))
		})
	}
}

func TestALostAnswerRepeatsNothing(t *testing.T) {
	t.Parallel()
	s3 := newServer(t)
	var lost atomic.Int64 // more than the attempts of the client
	s3.failWith(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || lost.Load() == 4 {
			return false
		}
		lost.Add(1)
		s3.real.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	dir := t.TempDir()
	s := open(t, dir, bucketOf(s3.URL))
	send(t, s, "a", "b")
	stop := start(t, s)
	flush(t, s)
	send(t, s, "c")
	flush(t, s)
	stop()
	assert.EqualValues(t, 4, lost.Load())
	objects, _ := s3.objects(t)
	assert.Len(t, objects, 2)
	assert.Equal(t, []string{"a", "b", "c"}, names(s3.records(t)))
}

// A repeated attempt finds what the first one, whose answer was lost, has made. As long
// as nobody can say whose that is, it is not made again under another name.
func TestATakenNameThatCannotBeLookedAtRepeatsNothing(t *testing.T) {
	t.Parallel()
	s3 := newServer(t)
	var put, looked atomic.Int64
	s3.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPut && put.Add(1) == 1:
			s3.real.ServeHTTP(httptest.NewRecorder(), r)
			answer(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
			return true
		case r.Method == http.MethodHead && put.Load() > 0 && looked.Add(1) <= 4: // more than the attempts of the client
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	s := open(t, t.TempDir(), bucketOf(s3.URL))
	send(t, s, "a", "b")
	stop := start(t, s)
	flush(t, s)
	stop()
	objects, _ := s3.objects(t)
	assert.Len(t, objects, 1)
	assert.Equal(t, []string{"a", "b"}, names(s3.records(t)))
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	skewed := func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Set("X-Amz-Date", time.Now().Add(-time.Hour).UTC().Format("20060102T150405Z"))
		return false
	}
	code := func(status int, code string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { answer(w, r, status, code); return true }
	}
	redirect := func(region string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Amz-Bucket-Region", region)
			return code(301, "PermanentRedirect")(w, r)
		}
	}
	tests := map[string]struct {
		fault  func(http.ResponseWriter, *http.Request) bool
		bucket string
		code   string
		advice string
	}{
		"the bucket is missing":     {nil, "other-bucket", "NoSuchBucket", "create the bucket"},
		"the clock is wrong":        {skewed, bucketName, "RequestTimeTooSkewed", "set the clock"},
		"the secret key is wrong":   {code(403, "SignatureDoesNotMatch"), bucketName, "SignatureDoesNotMatch", "the credentials are not valid"},
		"the access key is unknown": {code(403, "InvalidAccessKeyId"), bucketName, "InvalidAccessKeyId", "the credentials are not valid"},
		"grants are disabled":       {code(400, "AccessControlListNotSupported"), bucketName, "AccessControlListNotSupported", "Object Ownership"},
		"access is denied":          {code(403, "AccessDenied"), bucketName, "AccessDenied", "s3:PutObject"},
		"no conditions":             {code(501, "NotImplemented"), bucketName, "NotImplemented", "If-None-Match"},
		"the region is wrong":       {code(400, "AuthorizationHeaderMalformed"), bucketName, "AuthorizationHeaderMalformed", "set the region"},
		"the region is another":     {code(301, "PermanentRedirect"), bucketName, "PermanentRedirect", "set the region"},
		"the region is told":        {redirect("eu-west-1"), bucketName, "PermanentRedirect", "set the region of the bucket, which is eu-west-1"},
		"what is told is no region": {redirect("VALUE-s3cret"), bucketName, "PermanentRedirect", "set the region of the bucket)"},
		"the bucket is new":         {code(307, "TemporaryRedirect"), bucketName, "TemporaryRedirect", "set the region"},
		"the grantee is unknown":    {code(400, "InvalidRequest"), bucketName, "InvalidRequest", "see WithGrantee"}, // by SeaweedFS
		"the token is old":          {code(400, "ExpiredToken"), bucketName, "ExpiredToken", "have expired"},
		"unknown":                   {code(418, "Teapot"), bucketName, "Teapot", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s3, log := newServer(t), new(trial.Log)
			// The answer to a HEAD has no body for a code, and does not depend on conditions.
			s3.failWith(func(w http.ResponseWriter, r *http.Request) bool {
				return test.fault != nil && (r.Method != http.MethodHead || test.code != "NotImplemented") && test.fault(w, r)
			})
			to, dir := bucketOf(s3.URL), t.TempDir()
			to.Name = test.bucket
			s := open(t, dir, to, bulk.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			send(t, s, "a")
			stop := start(t, s)
			go func() { _ = s.Flush(t.Context()) }()
			require.Eventually(t, func() bool { return statsOf(t, s).LastError != "" }, time.Minute, time.Millisecond)
			stats := statsOf(t, s)
			assert.Contains(t, stats.LastError, test.code)
			assert.Contains(t, stats.LastError, test.advice)
			assert.False(t, stats.Failing.IsZero())
			assert.EqualValues(t, 1, stats.Waiting)
			assert.Contains(t, log.String(), test.code)
			assert.NotContains(t, log.String()+stats.LastError, "s3cret")

			report, err := s.Check(t.Context())
			require.NoError(t, err)
			assert.False(t, report.OK())
			assert.Contains(t, report.String(), test.code)

			// Nothing was lost.
			s3.failWith(nil)
			if test.bucket != bucketName {
				require.NoError(t, s3.Backend.CreateBucket(test.bucket))
			}
			flush(t, s)
			stop()
			stats = statsOf(t, s)
			assert.Empty(t, stats.LastError)
			assert.Zero(t, stats.Failing)
			assert.EqualValues(t, 1, stats.Delivered)
		})
	}
}

func TestAServerThatIsAwayLosesNothing(t *testing.T) {
	t.Parallel()
	s3 := newServer(t)
	to := bucketOf("http://127.0.0.1:1")
	dir := t.TempDir()
	s := open(t, dir, to)
	send(t, s, "a")
	stop := start(t, s)
	go func() { _ = s.Flush(t.Context()) }()
	require.Eventually(t, func() bool { return statsOf(t, s).LastError != "" }, time.Minute, time.Millisecond)
	assert.Contains(t, statsOf(t, s).LastError, "connection refused")
	stop()
	closeSender(t, s)

	s = open(t, dir, bucketOf(s3.URL))
	send(t, s, "b")
	start(t, s)
	flush(t, s)
	assert.Equal(t, []string{"a", "b"}, names(s3.records(t)))
}

func TestSeveralSendersAgreeOnNames(t *testing.T) {
	t.Parallel()
	const senders, files = 4, 5
	s3 := newServer(t)
	var all sync.WaitGroup
	for i := range senders {
		s := open(t, t.TempDir(), bucketOf(s3.URL))
		start(t, s)
		all.Go(func() {
			for j := range files {
				send(t, s, fmt.Sprintf("s%d-%d", i, j))
				flush(t, s)
			}
		})
	}
	all.Wait()
	objects, records := s3.objects(t)
	assert.Len(t, objects, senders*files, "none was overwritten")
	last := make(map[byte]string)
	for _, of := range records {
		require.Len(t, of, 1)
		name := of[0].Name
		assert.Less(t, last[name[1]], name, "in the order of time")
		last[name[1]] = name
	}
}
