package kmqtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/kmq"
	"github.com/kissmetrics-go/kissmetrics/kmq/kmqtest"
)

// What the script does in a browser is tested in kmq/browsertest.
func TestHandler(t *testing.T) {
	handler := kmqtest.Handler(`http://127.0.0.1:1/"</script>/`)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	script := get("/kissmetrics/key.2.js")
	assert.Equal(t, http.StatusOK, script.Code)
	assert.Equal(t, "text/javascript; charset=utf-8", script.Header().Get("Content-Type"))
	assert.Contains(t, script.Body.String(), `const server = "http://127.0.0.1:1/\"\u003c/script\u003e";`)
	assert.Contains(t, script.Body.String(), `const key = "key";`)
	assert.Contains(t, get("/kissmetrics/%22%3C.2.js").Body.String(), `const key = "\"\u003c";`)
	assert.NotContains(t, script.Body.String(), "{{")

	assert.Equal(t, http.StatusOK, get("/kissmetrics/i.js").Code)
	assert.Empty(t, get("/kissmetrics/i.js").Body.String())
	assert.Equal(t, http.StatusNotFound, get("/kissmetrics/").Code)
}

// A site that is tested in a browser: its pages load the stand-in, which sends
// to a tracking server of the test.
func ExampleHandler() {
	tracking := kissmetricstest.Start()
	defer tracking.Close()

	mux := http.NewServeMux()
	mux.Handle("/kissmetrics/", kmqtest.Handler(tracking.URL))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		snippet, err := kmq.Snippet(kmq.SnippetOptions{APIKey: "key", CommonURL: "/kissmetrics", ProductURL: "/kissmetrics"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprint(w, snippet)
	})

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Print(w.Body)
	// Output:
	// <script>var _kmq=_kmq||[],_kmk=_kmk||"key";</script>
	// <script async src="/kissmetrics/i.js"></script>
	// <script async src="/kissmetrics/key.2.js"></script>
}
