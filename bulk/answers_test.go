package bulk_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// The requests of an upload.
func puts(r *http.Request) bool  { return r.Method == http.MethodPut && !isPart(r) }
func looks(r *http.Request) bool { return r.Method == http.MethodHead }
func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}
func begins(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }
func completes(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// said answers without doing anything.
func said(status int, header, body string) func(*server, http.ResponseWriter, *http.Request) {
	return func(_ *server, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for line := range strings.Lines(header) {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Set(name, strings.TrimSpace(value))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// done does what is asked for, and answers otherwise.
func done(otherwise func(w http.ResponseWriter, did *httptest.ResponseRecorder)) func(*server, http.ResponseWriter, *http.Request) {
	return func(s *server, w http.ResponseWriter, r *http.Request) {
		did := httptest.NewRecorder()
		s.real.ServeHTTP(did, r)
		otherwise(w, did)
	}
}

// code returns the body of an error.
func code(code string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>" + code + "</Code><Message>VALUE-s3cret</Message></Error>"
}

func half(w http.ResponseWriter, did *httptest.ResponseRecorder) {
	w.WriteHeader(did.Code)
	_, _ = io.WriteString(w, did.Body.String()[:did.Body.Len()/2])
	w.(http.Flusher).Flush() //nolint:forcetypeassert // in chunks
	panic(http.ErrAbortHandler)
}

// TestWhateverIsAnsweredNothingIsLostOrRepeated: S3 servers, and what stands before
// them, answer in many ways, also with 200 to what has failed. Each answer comes more
// often than the client asks by itself, and then the truth.
func TestWhateverIsAnsweredNothingIsLostOrRepeated(t *testing.T) {
	tests := map[string]struct {
		to     func(*http.Request) bool
		answer func(*server, http.ResponseWriter, *http.Request)
	}{
		"a conflict with another upload": {puts, said(409, "", code("ConditionalRequestConflict"))},
		"slow down":                      {puts, said(503, "Retry-After: 1", code("SlowDown"))},
		"another place, for now":         {puts, said(307, "Location: http://127.0.0.1:1/elsewhere", code("TemporaryRedirect"))},
		"another place, for good":        {looks, said(301, "X-Amz-Bucket-Region: eu-west-1", "")},
		"another place, without a word":  {looks, said(307, "Location: http://127.0.0.1:1/elsewhere", "")},
		"a page of a proxy":              {puts, said(200, "Content-Type: text/html", "<html>Log in</html>")},
		"nothing":                        {puts, said(200, "", "")},
		"no content":                     {puts, said(204, "ETag: \"x\"", "")},
		"taken, which is not so":         {puts, said(412, "", code("PreconditionFailed"))},
		"taken, and it was ours": {puts, done(func(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
			said(412, "", code("PreconditionFailed"))(nil, w, httptest.NewRequest(http.MethodPut, "/", http.NoBody))
		})},
		"done, but without an ETag": {puts, done(func(w http.ResponseWriter, _ *httptest.ResponseRecorder) { w.WriteHeader(http.StatusOK) })},
		"done, with an ETag that is no checksum": {puts, done(func(w http.ResponseWriter, did *httptest.ResponseRecorder) { // as of what is encrypted
			w.Header().Set("ETag", `"not-a-checksum"`)
			w.WriteHeader(did.Code)
		})},
		"go on, which nobody waited for": {puts, done(func(w http.ResponseWriter, did *httptest.ResponseRecorder) {
			w.WriteHeader(http.StatusContinue)
			w.WriteHeader(http.StatusEarlyHints)
			maps.Copy(w.Header(), did.Header())
			w.WriteHeader(did.Code)
		})},
		"no upload begun":                               {begins, said(200, "Content-Type: text/html", "<html>Log in</html>")},
		"a part without an ETag":                        {isPart, said(200, "", "")},
		"no such upload":                                {isPart, said(404, "", code("NoSuchUpload"))},
		"an error in a success":                         {completes, said(200, "", code("InternalError"))},
		"an error in a success that begins with blanks": {completes, said(200, "", strings.Repeat(" ", 3000)+code("SlowDown"))},
		"a conflict at the end":                         {completes, said(409, "", code("ConditionalRequestConflict"))},
		"a part is not there":                           {completes, said(400, "", code("InvalidPart"))},
		"no such upload at the end":                     {completes, said(404, "", code("NoSuchUpload"))},
		"half of the answer at the end":                 {completes, done(half)},
		"an empty answer at the end":                    {completes, done(func(http.ResponseWriter, *httptest.ResponseRecorder) {})},
		"a page at the end":                             {completes, said(200, "Content-Type: text/html", "<html>Log in</html>")},
		"an error at the end, though it was done": {completes, done(func(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
			_, _ = io.WriteString(w, code("InternalError"))
		})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s3 := newServer(t)
			var asked atomic.Int64
			s3.failWith(func(w http.ResponseWriter, r *http.Request) bool {
				if !test.to(r) || asked.Add(1) > 4 {
					return false
				}
				test.answer(s3, w, r)
				return true
			})
			size := bulk.WithPartSize(1 << 20)
			if !test.to(httptest.NewRequest(http.MethodPut, "/", http.NoBody)) && !test.to(httptest.NewRequest(http.MethodHead, "/", http.NoBody)) {
				size = bulk.WithPartSize(2000)
			}
			s := open(t, t.TempDir(), bucketOf(s3.URL), size)
			var want []string
			for i := range 30 {
				want = append(want, fmt.Sprintf("e%d-%s", i, strings.Repeat("x", 200)))
				require.NoError(t, s.Send(t.Context(), []kissmetrics.Record{record(want[i])}))
			}
			stop := start(t, s)
			flush(t, s)
			stop()
			assert.Positive(t, asked.Load())
			objects, _ := s3.objects(t)
			assert.Len(t, objects, 1)
			assert.Equal(t, want, names(s3.records(t)))
		})
	}
}

// TestCloseStopsAnUpload that hangs. The server may carry out later what it was asked
// for; whatever it does, the next sender finishes the work.
func TestCloseStopsAnUpload(t *testing.T) {
	for name, at := range map[string]func(*http.Request) bool{
		"at the look": looks, "at the put": puts, "at the begin": begins, "at a part": isPart, "at the end": completes,
	} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, carried out later: %v", name, later), func(t *testing.T) {
				t.Parallel()
				s3, dir := newServer(t), t.TempDir()
				arrived, release, carried := make(chan struct{}), make(chan struct{}), make(chan struct{})
				var asked atomic.Int64
				s3.failWith(func(w http.ResponseWriter, r *http.Request) bool {
					if !at(r) || asked.Add(1) > 1 {
						return false
					}
					defer close(carried)
					body, err := io.ReadAll(r.Body)
					assert.NoError(t, err)
					r.Body = io.NopCloser(bytes.NewReader(body))
					close(arrived)
					<-release
					if later {
						s3.real.ServeHTTP(httptest.NewRecorder(), r)
					}
					return true
				})
				size := bulk.WithPartSize(1 << 20)
				if name != "at the look" && name != "at the put" {
					size = bulk.WithPartSize(2000)
				}
				s := open(t, dir, bucketOf(s3.URL), size)
				var want []string
				for i := range 30 {
					want = append(want, fmt.Sprintf("e%d-%s", i, strings.Repeat("x", 200)))
				}
				send(t, s, want...)
				ended := make(chan error, 1)
				go func() { ended <- s.Run(t.Context()) }()
				flushed := make(chan error, 1)
				go func() { flushed <- s.Flush(t.Context()) }()
				<-arrived
				closeSender(t, s)
				require.ErrorIs(t, <-ended, kissmetrics.ErrClosed)
				require.ErrorIs(t, <-flushed, kissmetrics.ErrClosed)
				close(release)
				<-carried

				s = open(t, dir, bucketOf(s3.URL), size)
				stop := start(t, s)
				flush(t, s)
				stop()
				objects, _ := s3.objects(t)
				assert.Len(t, objects, 1)
				assert.Equal(t, want, names(s3.records(t)))
			})
		}
	}
}
