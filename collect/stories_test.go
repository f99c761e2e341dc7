package collect_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/collect"
)

// outcome is what the story comes to: an identify, a page, a screen, an order with two
// products, a group and an alias, as every SDK can tell them.
var outcome = []string{
	"/a?_n=sdk-user&_p=sdk-visitor",
	"/e?Billing+Amount=25.5&_d=1&_n=Order+Completed&_p=sdk-user&_t=1772444400&gift=true&order_id=o-17&revenue=25.5",
	"/e?_d=1&_n=Viewed+Cart+screen&_p=sdk-user&_t=1772444400&items=3",
	"/e?_d=1&_n=Viewed+Shop+Pricing+page&_p=sdk-user&_t=1772444400&category=Shop&path=%2Fpricing",
	"/s?Group+-+id=g-1&Group+-+name=Engines&_d=1&_p=sdk-user&_t=1772444400",
	"/s?_d=1&_p=sdk-user&_t=1772444400&address.city=London&email=ada%40example.com",
	"/s?_d=1&_p=sdk-user&_t=1772444401&price=6.25&sku=MUG-1",
	"/s?_d=1&_p=sdk-user&_t=1772444402&price=7.5&sku=TEE-4",
}

// TestStories replays how the SDKs of languages for which there is no registry here
// tell the story. The requests in testdata/stories were written anew by hand, after
// those that the SDKs make; KEY stands for the write key, and a body with a
// Content-Encoding is written as it is before it is compressed.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.http")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2026, time.March, 2, 9, 40, 5, 0, time.UTC)))
				content, err := os.ReadFile(file)
				require.NoError(t, err)
				r := newReceiver(t)
				for range 2 { // the second time as if the answer had been lost
					for request := range strings.SplitSeq(string(content), "\n###\n\n") {
						r.replay(t, request)
					}
				}
				var got []string
				for _, record := range r.recorder.Records() {
					values := record.Values()
					if strings.HasPrefix(filepath.Base(file), "rudderstack-ruby") && record.Name == "Order Completed" {
						assert.Equal(t, "Order Completed", values.Get("name"), "this SDK adds it")
						values.Del("name")
					}
					got = append(got, record.Kind.Path()+"?"+values.Encode())
				}
				slices.Sort(got)
				if !bytes.Contains(content, []byte(`"messageId"`)) {
					got = slices.Compact(got) // what is told twice is equal, which Kissmetrics drops
				}
				assert.Equal(t, outcome, got)
				for _, result := range r.results {
					assert.Contains(t, []collect.Outcome{collect.Accepted, collect.Repeated}, result.Outcome)
					assert.Empty(t, result.Adjustments)
				}
			})
		})
	}
}

// replay makes a request of a file.
func (r *receiver) replay(t *testing.T, text string) {
	t.Helper()
	lines := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "KEY", writeKey))))
	first := "#"
	for strings.HasPrefix(first, "#") {
		var err error
		first, err = lines.ReadLine()
		require.NoError(t, err)
	}
	_, path, ok := strings.Cut(first, " ")
	require.True(t, ok, first)
	header, err := lines.ReadMIMEHeader()
	require.NoError(t, err)
	var body bytes.Buffer
	_, err = body.ReadFrom(lines.R)
	require.NoError(t, err)
	content := strings.TrimSuffix(body.String(), "\n")
	if header.Get("Content-Encoding") == "gzip" {
		content = zipped(t, content)
	}
	a := r.do(t, path, content, func(request *http.Request) {
		basic := header.Get("Authorization") != ""
		request.Header = http.Header(header)
		if request.Header.Del("Authorization"); basic {
			request.SetBasicAuth(writeKey, "")
		}
	})
	assert.Equal(t, http.StatusOK, a.status, a.text)
	assert.True(t, *a.body.Success, a.text)
}
