package collect

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every SDK that the handler knows by its name has a wire, and so a row in SDKS.md.
func TestEveryLibraryHasAWire(t *testing.T) {
	file, err := os.Open("testdata/clocks.jsonl")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	seen := map[string]bool{}
	name := regexp.MustCompile(`"library":"([^"]*)","written":"([^"]*)"`)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		found := name.FindStringSubmatch(lines.Text())
		require.Len(t, found, 3, lines.Text())
		library := strings.ToLower(found[1])
		seen[library] = true
		want := map[string]sentAtKind{"every try": sentAtTry, "the batch": sentAtClosed, "the message": sentAtClosed, "never": sentAtUnknown}[found[2]]
		assert.Equal(t, want, libraries[library], library)
	}
	require.NoError(t, lines.Err())
	for library := range libraries {
		assert.True(t, seen[library], library)
	}
}

func TestLibraryOfContextsThatNameNone(t *testing.T) {
	for _, context := range []string{``, `null`, `[]`, `{}`, `{"library":null}`, `{"library":"analytics-java"}`, `{"library":{"name":7}}`, `{"userAgent":7}`,
		`{"userAgent":"Mozilla/5.0"}`, `{"library":{"name":"other"},"userAgent":"Customer.io iOS Client/3"}`} {
		assert.Equal(t, sentAtUnknown, library([]byte(context)), context)
	}
	assert.Equal(t, sentAtClosed, library([]byte(`{"userAgent":"Customer.io iOS Client/3 (x)"}`)))
	assert.Equal(t, sentAtClosed, library([]byte(`{"library":{"version":"1","name":"ANALYTICS-Java"}}`)))
}
