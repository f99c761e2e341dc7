package reconcile_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

func TestRevisionsThatAreNotThereAreTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ names, want []string }{
		"all are there":                 {[]string{"1.json", "2.json.gz", "3.json"}, nil},
		"one is twice there":            {[]string{"1.json", "1.json.gz", "2.json"}, nil},
		"one is not":                    {[]string{"1.json", "3.json"}, []string{": 2"}},
		"the first ones are not":        {[]string{"10.json.gz", "9.json"}, []string{": 1 to 8"}},
		"several are not":               {[]string{"2.json", "3.json", "7.json", "9.json"}, []string{": 1", ": 4 to 6", ": 8"}},
		"names without a number":        {[]string{"a.json", "1.json"}, nil},
		"one that is none of lines":     {[]string{"1.json", "2.csv", "3.json"}, []string{": 2"}},
		"more than could be told of":    {[]string{"1.json", "20261128.json"}, []string{": 2 to 20261127"}},
		"a number that is out of range": {[]string{"1.json", "99999999999999999999.json"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "revisions")
			require.NoError(t, os.Mkdir(dir, 0o700))
			for _, name := range test.names {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			}
			f, err := reconcile.Open(filepath.Dir(dir))
			require.NoError(t, err)
			var want []string
			for _, gap := range test.want {
				want = append(want, dir+gap)
			}
			assert.Equal(t, want, f.Gaps())
		})
	}
}

// TestAnExportIsKnownHoweverItWasUnpacked: a program for Windows gives files capitals, or
// names with backslashes in place of folders; one for macOS puts files of its own between.
func TestAnExportIsKnownHoweverItWasUnpacked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ files, read, skipped, gaps []string }{
		"in capitals": {
			[]string{"INDEX.CSV", "NOTES.JSON", "REVISIONS/1.JSON.GZ", "REVISIONS/10.JSON", "REVISIONS/9.JSON"},
			[]string{"REVISIONS/1.JSON.GZ", "REVISIONS/9.JSON", "REVISIONS/10.JSON"},
			[]string{"NOTES.JSON"}, []string{"REVISIONS: 2 to 8"},
		},
		"with backslashes": {
			[]string{"index.csv", "notes.json", `revisions\10.json`, `revisions\1.json.gz`, `revisions\9.json`},
			[]string{`revisions\1.json.gz`, `revisions\9.json`, `revisions\10.json`},
			[]string{"notes.json"}, []string{".: 2 to 8"},
		},
		"with backslashes, in a folder": {
			[]string{`Export\status.csv`, `Export\Revisions\2.json`, `Export\Revisions\1.json`},
			[]string{`Export\Revisions\1.json`, `Export\Revisions\2.json`}, nil, nil,
		},
		"by macOS": {
			[]string{"revisions/1.json", "revisions/._1.json", "revisions/.DS_Store", "__MACOSX/revisions/._1.json"},
			[]string{"revisions/1.json"}, []string{"revisions/._1.json", "revisions/.DS_Store", "__MACOSX/revisions/._1.json"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && strings.Contains(test.files[0]+test.read[0], `\`) {
				return // where these are folders
			}
			dir := t.TempDir()
			for _, name := range test.files {
				path := filepath.Join(dir, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, nil, 0o600))
			}
			f, err := reconcile.Open(dir)
			require.NoError(t, err)
			in := func(names []string) (paths []string) {
				for _, name := range names {
					paths = append(paths, filepath.Join(dir, name))
				}
				return paths
			}
			assert.Equal(t, in(test.read), f.Paths())
			assert.ElementsMatch(t, in(test.skipped), f.Skipped())
			var gaps []string
			for _, gap := range test.gaps {
				folder, numbers, _ := strings.Cut(gap, ":")
				gaps = append(gaps, filepath.Join(dir, folder)+":"+numbers)
			}
			assert.Equal(t, gaps, f.Gaps())
		})
	}
}

// compressed returns members, each of a line, with something behind each.
func compressed(t *testing.T, lines int, behind []byte) []byte {
	t.Helper()
	var file bytes.Buffer
	for i := range lines {
		w := gzip.NewWriter(&file)
		_, err := w.Write([]byte(`{"_p":"ann","_n":"` + strconv.Itoa(i) + `","_t":1700000000}` + "\n"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		file.Write(behind)
	}
	return file.Bytes()
}

func TestWhatGzipReadsIsRead(t *testing.T) {
	t.Parallel()
	whole := compressed(t, 3, nil)
	for name, test := range map[string]struct {
		file []byte
		want int
		err  string
	}{
		"a member":                    {compressed(t, 1, nil), 1, ""},
		"several members":             {whole, 3, ""},
		"zeros at the end":            {append(bytes.Clone(whole), make([]byte, 1<<20)...), 3, ""},
		"zeros behind each":           {compressed(t, 3, make([]byte, 512)), 3, ""},
		"empty members":               {append(compressed(t, 1, nil), "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"...), 1, ""},
		"something else at the end":   {append(bytes.Clone(whole), "\x00\x00this is no member"...), 3, "invalid header"},
		"cut":                         {whole[:len(whole)-1], 3, "unexpected EOF"},
		"cut in the head of a member": {append(bytes.Clone(whole), "\x1f\x8b\x08"...), 3, "unexpected EOF"},
		"of another format":           {[]byte("PK\x03\x04…"), 0, "it is in zip"},
		"damaged":                     {append(bytes.Clone(whole[:len(whole)-8]), make([]byte, 8)...), 3, "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "1.json.gz")
			require.NoError(t, os.WriteFile(path, test.file, 0o600))
			f, err := reconcile.Open(path)
			require.NoError(t, err)
			var got []kissmetrics.Record
			var last error
			for record, err := range f.Records() {
				if last = err; err == nil {
					got = append(got, record)
				}
			}
			assert.Len(t, got, test.want)
			if test.err == "" {
				require.NoError(t, last)
				assert.Equal(t, f.Size(), f.Read())
				return
			}
			require.ErrorContains(t, last, path)
			require.ErrorContains(t, last, test.err)
		})
	}
}
