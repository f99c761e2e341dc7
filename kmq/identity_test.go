package kmq_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

func TestIdentity(t *testing.T) {
	for name, test := range map[string]struct {
		cookies string
		want    kmq.Visitor
	}{
		"no cookies":                      {"", kmq.Visitor{}},
		"other cookies":                   {"km_vs=1; km_lv=x; KM_AI=x", kmq.Visitor{}},
		"base64, percent-encoded":         {"km_ai=a%2Bb%2FcQ%3D%3D", kmq.Visitor{AnonymousID: "a+b/cQ=="}},
		"base64, as it is":                {"km_ai=a+b/cQ==", kmq.Visitor{AnonymousID: "a+b/cQ=="}},
		"both":                            {"km_ai=k7n%3D; km_ni=ada%40example.com", kmq.Visitor{UserID: "ada@example.com", AnonymousID: "k7n="}},
		"equal":                           {"km_ai=bob%40example.com; km_ni=bob%40example.com", kmq.Visitor{UserID: "bob@example.com"}},
		"equal but for the encoding":      {"km_ai=bob@example.com; km_ni=%62ob%40example.com", kmq.Visitor{UserID: "bob@example.com"}},
		"equal but for the case":          {"km_ai=Bob@Example.com; km_ni=bob@example.COM", kmq.Visitor{UserID: "bob@example.COM"}},
		"equal but for case beyond ASCII": {"km_ai=%C3%89T%C3%89; km_ni=%C3%A9t%C3%A9", kmq.Visitor{UserID: "été"}},
		"equal but for blanks":            {"km_ai=bob%20; km_ni=%20bob", kmq.Visitor{UserID: " bob"}},
		"quoted":                          {`km_ni="ada"`, kmq.Visitor{UserID: "ada"}},
		"beyond ASCII":                    {"km_ni=%C3%A9t%C3%A9", kmq.Visitor{UserID: "été"}},
		"255 characters":                  {"km_ni=" + strings.Repeat("%C3%A9", 255), kmq.Visitor{UserID: strings.Repeat("é", 255)}},
		"256 characters":                  {"km_ni=" + strings.Repeat("x", 256), kmq.Visitor{}},
		"the first of several":            {"km_ni=a; km_ni=b", kmq.Visitor{UserID: "a"}},
		"empty":                           {"km_ai=; km_ni=", kmq.Visitor{}},
		"blank":                           {"km_ni=%20%20", kmq.Visitor{}},
		"not percent-encoded":             {"km_ni=100%", kmq.Visitor{}},
		"not UTF-8":                       {"km_ni=%FF", kmq.Visitor{}},
		"a line break":                    {"km_ni=a%0D%0Ab", kmq.Visitor{}},
		"a NUL":                           {"km_ni=a%00", kmq.Visitor{}},
		"shared by many":                  {"km_ai=undefined; km_ni=NULL", kmq.Visitor{}},
		"one bad leaves the other good":   {"km_ai=%zz; km_ni=ada", kmq.Visitor{UserID: "ada"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Cookie", test.cookies)
			assert.Equal(t, test.want, kmq.Identity(r))

			w := httptest.NewRecorder()
			kmq.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				assert.Equal(t, test.want, kmq.FromContext(r.Context()))
			})).ServeHTTP(w, r)
			assert.Empty(t, w.Header(), "no cookie is set")
		})
	}
	assert.Zero(t, kmq.FromContext(t.Context()), "without the middleware nobody is known")
	assert.Zero(t, kmq.FromContext(nil), "nor without a context") //nolint:staticcheck // that is what is tried
}

// An alias is for good, so there is one only for who is surely anonymous.
func TestVisitorAlias(t *testing.T) {
	for name, test := range map[string]struct {
		visitor kmq.Visitor
		userID  string
		want    kissmetrics.Alias
		ok      bool
	}{
		"an anonymous visitor":            {kmq.Visitor{AnonymousID: "k7n="}, "u", kissmetrics.Alias{UserID: "u", PreviousID: "k7n="}, true},
		"nobody":                          {kmq.Visitor{}, "u", kissmetrics.Alias{}, false},
		"identified before":               {kmq.Visitor{UserID: "bob", AnonymousID: "k7n="}, "u", kissmetrics.Alias{}, false},
		"identified as the same":          {kmq.Visitor{UserID: "u", AnonymousID: "k7n="}, "u", kissmetrics.Alias{}, false},
		"identified without an anonymous": {kmq.Visitor{UserID: "bob"}, "u", kissmetrics.Alias{}, false},
		"the user's own identity":         {kmq.Visitor{AnonymousID: "U"}, "u", kissmetrics.Alias{}, false},
		"no user":                         {kmq.Visitor{AnonymousID: "k7n="}, " ", kissmetrics.Alias{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			alias, ok := test.visitor.Alias(test.userID)
			assert.Equal(t, test.ok, ok)
			assert.Equal(t, test.want, alias)
		})
	}
}
