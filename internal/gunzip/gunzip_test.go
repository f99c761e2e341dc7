package gunzip_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/gunzip"
)

// zipped returns a member for each text, with something behind each.
func zipped(t *testing.T, behind string, texts ...string) string {
	t.Helper()
	var file bytes.Buffer
	for _, text := range texts {
		w := gzip.NewWriter(&file)
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		file.WriteString(behind)
	}
	return file.String()
}

func TestReader(t *testing.T) {
	t.Parallel()
	whole := zipped(t, "", "a", "b", "c")
	zeros := strings.Repeat("\x00", 512)
	for name, test := range map[string]struct {
		file, want, err string
	}{
		"a member":                  {zipped(t, "", "abc"), "abc", ""},
		"several members":           {whole, "abc", ""},
		"zeros at the end":          {whole + strings.Repeat(zeros, 1000), "abc", ""},
		"zeros behind each":         {zipped(t, zeros, "a", "b", "c"), "abc", ""},
		"empty members":             {zipped(t, "", "", "a", "", "b", ""), "ab", ""},
		"something else at the end": {whole + "\x00this is no member", "abc", "invalid header"},
		"cut":                       {whole[:len(whole)-1], "abc", "unexpected EOF"},
		"cut in a head":             {whole + "\x1f\x8b\x08", "abc", "unexpected EOF"},
		"damaged":                   {whole[:len(whole)-8] + zeros[:8], "abc", "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, file := range map[string]io.Reader{
				"at once":        strings.NewReader(test.file),
				"byte by byte":   iotest.OneByteReader(strings.NewReader(test.file)),
				"with its error": iotest.DataErrReader(strings.NewReader(test.file)),
			} {
				buffered := bufio.NewReader(file)
				require.True(t, gunzip.Is(buffered))
				r, err := gunzip.NewReader(buffered)
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				assert.Equal(t, test.want, string(got), how)
				if test.err == "" {
					require.NoError(t, err, how)
				} else {
					require.ErrorContains(t, err, test.err, how)
				}
			}
		})
	}
}

func TestWhatIsNoGzipFile(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "\x1f", "\x1f\x1f", "{}", zipped(t, "", "a")[1:]} {
		assert.False(t, gunzip.Is(bufio.NewReader(strings.NewReader(file))), "%q", file)
	}
	_, err := gunzip.NewReader(bufio.NewReader(strings.NewReader("\x1f\x8b")))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
