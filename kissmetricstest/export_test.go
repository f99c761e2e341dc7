package kissmetricstest_test

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// export returns the lines of a server's export, and its index.
func export(t *testing.T, server *kissmetricstest.Server, options kissmetricstest.ExportOptions) (lines []string, index [][]string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "export")
	require.NoError(t, server.Export(folder, options))
	index = readCSV(t, filepath.Join(folder, "index.csv"))
	require.Equal(t, []string{"file", "lines", "min_time", "max_time"}, index[0])
	require.Len(t, readCSV(t, filepath.Join(folder, "status.csv")), len(index))
	files, err := os.ReadDir(filepath.Join(folder, "revisions"))
	require.NoError(t, err)
	require.Len(t, files, len(index)-1)
	for _, entry := range index[1:] {
		lines = append(lines, readLines(t, filepath.Join(folder, entry[0]))...)
	}
	return lines, index[1:]
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	records, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	return records
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		r, err = gzip.NewReader(file)
		require.NoError(t, err)
	}
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestExport(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	for _, target := range []string{
		"/e?_k=secret&_p=Ann&_n=Signed,Up&Plan=Pro&Seats=3&_ip=::1" + next,
		"/e?_k=secret&_p=ann&_n=Signed+Up&Plan=Pro&Seats=3" + next, // a repeat
		"/s?_k=secret&_p=Ren%C3%A9&City=Malm%C3%B6%09%7F%22%5C%27" + first,
		"/s?_k=secret&_p=ren%C3%A9&City=Malm%C3%B6%09%7F%22%5C%27&Empty=" + first, // half of it new
		"/e?_k=secret&_p=ann&_n=+" + first,                                        // ignored
	} {
		requirePicture(t, get(t, client, server, target))
	}
	want := []string{
		`{"plan":"Pro","seats":"3","_ip":"::1","_n":"signed up","_p":"ann","_t":1700000001}`,
		`{"city":"Malm\303\266\011\177\"\\'","_p":"ren\303\251","_t":1700000000}`,
		`{"empty":"","_p":"ren\303\251","_t":1700000000}`,
	}

	lines, index := export(t, server, kissmetricstest.ExportOptions{})
	assert.Equal(t, want, lines)
	assert.Equal(t, [][]string{{"revisions/1.json", "3", "1700000000", "1700000001"}}, index)

	lines, index = export(t, server, kissmetricstest.ExportOptions{Gzip: true, Lines: 2})
	assert.Equal(t, want, lines)
	assert.Equal(t, [][]string{
		{"revisions/1.json.gz", "2", "1700000000", "1700000001"}, {"revisions/2.json.gz", "1", "1700000000", "1700000000"},
	}, index)
}

func TestExportOfAnAlias(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	get(t, client, server, "/a?_k=secret&_p=Anon-1&_n=Ann&_c=mobile_app")
	lines, _ := export(t, server, kissmetricstest.ExportOptions{})
	require.Len(t, lines, 1)
	assert.Regexp(t, `^{"_c":"mobile_app","_p2":"ann","_p":"anon-1","_t":\d{10}}$`, lines[0])
}

func TestExportOfNothing(t *testing.T) {
	t.Parallel()
	lines, index := export(t, kissmetricstest.NewServer(t), kissmetricstest.ExportOptions{Lines: 10})
	assert.Empty(t, lines)
	assert.Empty(t, index)
}

func TestExportUnderTheOldRuleHoldsWhatWasKept(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t, oldRule...), newHTTPClient(t)
	for _, target := range []string{
		"/e?_k=secret&_p=ann&_n=one&Plan=Pro&Browser=ff" + first,
		"/e?_k=secret&_p=ann&_n=one&Plan=Basic&Browser=ff&Seats=3" + first, // Seats alone is new
		"/e?_k=secret&_p=ann&_n=one&Plan=Basic" + first,                    // nothing is
		"/e?_k=secret&_p=ann&_n=two&Plan=Basic&Browser=ff" + first,         // the plan is lost
		"/s?_k=secret&_p=ann&Plan=Team&Door=1" + first,                     // so it is here
	} {
		requirePicture(t, get(t, client, server, target))
	}
	lines, _ := export(t, server, kissmetricstest.ExportOptions{})
	assert.Equal(t, []string{
		`{"browser":"ff","plan":"Pro","_n":"one","_p":"ann","_t":1700000000}`,
		`{"seats":"3","_p":"ann","_t":1700000000}`,
		`{"browser":"ff","_n":"two","_p":"ann","_t":1700000000}`,
		`{"door":"1","_p":"ann","_t":1700000000}`,
	}, lines)
}

func TestExportOverwritesNothing(t *testing.T) {
	t.Parallel()
	server, folder := kissmetricstest.NewServer(t), t.TempDir()
	require.NoError(t, server.Export(folder, kissmetricstest.ExportOptions{}))
	require.Error(t, server.Export(folder, kissmetricstest.ExportOptions{}))

	file := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, server.Export(file, kissmetricstest.ExportOptions{}))

	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "index.csv"), []byte("mine"), 0o600))
	require.Error(t, server.Export(other, kissmetricstest.ExportOptions{}))
	text, err := os.ReadFile(filepath.Join(other, "index.csv"))
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
}

// What was exported makes the same people again.
func TestExportIsReadByReadImport(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	for _, target := range []string{
		"/s?_k=key&_p=ann&City=K%C3%B8benhavn%01%7F%E2%82%AC&Path=C:%5CUsers%5Cbob" + first,
		"/e?_k=key&_p=ann&_n=It's&%C3%A9t%C3%A9=%22" + next,
		"/a?_k=key&_p=bob&_n=ann",
	} {
		requirePicture(t, get(t, client, server, target))
	}
	lines, _ := export(t, server, kissmetricstest.ExportOptions{})
	again := kissmetricstest.NewServer(t)
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(again.URL),
		kissmetrics.WithDoer(newHTTPClient(t)))
	require.NoError(t, err)
	for line, err := range kissmetrics.ReadImport(strings.NewReader(strings.Join(lines, "\n"))) {
		require.NoError(t, err)
		require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{line.Record}))
	}
	kissmetricstest.RequireClean(t, again)
	kissmetricstest.RequireOnePerson(t, again, "ann", "bob")
	kissmetricstest.RequireEvent(t, again, "bob", "it's", kissmetrics.Text("été", `"`))
	kissmetricstest.RequireProperty(t, again, "ann", "city", "København\x01\x7f€")
	kissmetricstest.RequireProperty(t, again, "ann", "path", `C:\Users\bob`)
}
