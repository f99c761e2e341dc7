package gunzip_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
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

func TestWhatGzipReadsIsRead(t *testing.T) {
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
				r, zipped, err := gunzip.Open(bufio.NewReader(file))
				require.NoError(t, err)
				assert.True(t, zipped)
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

func TestAFileThatIsNotGzippedIsReadAsItIs(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"", "{", "{}\n", "\ufeff{}\n", "\x1f", "\x1f\x1f", "\x00\x00\x00{}", "PK", zipped(t, "", "a")[1:]} {
		r, zipped, err := gunzip.Open(bufio.NewReader(strings.NewReader(file)))
		require.NoError(t, err)
		assert.False(t, zipped)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, file, string(got))
	}
}

func TestAFileInWhichNoLinesCanBeReadIsNamed(t *testing.T) {
	t.Parallel()
	var deflated bytes.Buffer
	w := zlib.NewWriter(&deflated)
	require.NoError(t, w.Close())
	for file, want := range map[string]string{
		"\x1f\x8b": "unexpected EOF",
		"\x1f\x8b\x00\x00\x00\x00\x00\x00\x00\x00": "invalid header",
		"PK\x03\x04\x14\x00":                       "it is in zip;",
		"BZh91AY":                                  "it is in bzip2;",
		"\xfd7zXZ\x00\x00":                         "it is in xz;",
		"\x28\xb5\x2f\xfd\x04":                     "it is in zstd;",
		deflated.String():                          "it is in zlib;",
		"\xff\xfe{\x00}\x00":                       "it is in UTF-16;",
		zipped(t, "", zipped(t, "", "a")):          "it is gzipped twice",
		zipped(t, "", "\xff\xfe{\x00"):             "it is in UTF-16;",
		"PAR1\x15\x04":                             "it is in Parquet;",
	} {
		_, _, err := gunzip.Open(bufio.NewReader(strings.NewReader(file)))
		require.ErrorContains(t, err, want)
	}
}
