package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const secret = "5ec4e7ab5ec4e7ab5ec4e7ab5ec4e7ab5ec4e7ab"

// asProgram, in the environment, makes the test binary the program.
const asProgram = "BACKFILL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(asChild())
	}
	goleak.VerifyTestMain(m)
}

// asChild is the program; the environment says how often it stores a checkpoint,
// and how large a file may become.
func asChild() int {
	saveEvery := time.Second
	if s := os.Getenv(asProgram + "_SAVE_EVERY"); s != "" {
		saveEvery, _ = time.ParseDuration(s)
	}
	if s := os.Getenv(asProgram + "_FILE_BYTES"); s != "" {
		limit, _ := strconv.ParseUint(s, 10, 64)
		if err := limitFiles(limit); err != nil {
			panic(err)
		}
	}
	return start(saveEvery)
}

// outcome is what a run left.
type outcome struct {
	stdout, stderr bytes.Buffer
	err            error
}

// backfill runs the program.
func backfill(ctx context.Context, stdin io.Reader, doer kissmetrics.Doer, args ...string) *outcome {
	var o outcome
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	p := program{stdin: io.NopCloser(stdin), stdout: &o.stdout, stderr: &o.stderr, every: time.Hour, saveEvery: time.Second, doer: doer}
	o.err = p.run(ctx, context.WithoutCancel(ctx), args)
	return &o
}

// event is a line of an event that no other number has.
func event(i int) string {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	return fmt.Sprintf(`{"type":"track","userId":"user-%d","event":"Event","properties":{"number":%d},"timestamp":%q}`+"\n", i%7, i, at.Format(time.RFC3339))
}

func events(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(event(i))
	}
	return b.String()
}

func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func zipped(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// assertEvents checks that the server knows the first n events, each once.
func assertEvents(t *testing.T, server *kissmetricstest.Server, n int) {
	t.Helper()
	numbers := map[string]int{}
	for person := range 7 {
		for _, e := range server.Events(fmt.Sprintf("user-%d", person)) {
			numbers[e.Properties["number"]]++
		}
	}
	assert.Len(t, numbers, n)
	for number, times := range numbers {
		assert.Equal(t, 1, times, number)
	}
}

func TestSample(t *testing.T) {
	t.Chdir(t.TempDir())
	o := backfill(t.Context(), nil, nil, "-rate", "0")
	require.NoError(t, o.err)
	for _, want := range []string{
		"sent                8 lines, 11 records", "refused             3 lines\n", "1   invalid timestamp: is missing",
		"ignored             2 lines", "The server kept everything.",
	} {
		assert.Contains(t, o.stdout.String(), want)
	}
	assert.Contains(t, o.stderr.String(), "a tracking server inside this program")
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	assert.Empty(t, left, "a demonstration leaves nothing behind")
}

func TestDelivery(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	const wrong = `{"type":"track","userId":"user-1","event":"No time"}`
	path := writeFile(t, "events.jsonl", events(50)+"\n"+wrong+"\n{\n"+
		strings.Replace(event(60), `"type"`, `"integrations":{"All":false},"type"`, 1)+event(50))
	live := []string{"-api-key", secret, "-base-url", server.URL, "-rate", "0"}

	o := backfill(t.Context(), nil, nil, append(live, path)...)

	require.NoError(t, o.err)
	assertEvents(t, server, 51)
	assert.Empty(t, server.Ignored())
	assert.Contains(t, o.stdout.String(), "sent               51 lines, 51 records delivered")
	assert.Contains(t, o.stdout.String(), "refused             2 lines, kept in "+path+".refused")
	assert.Contains(t, o.stdout.String(), "ignored             2 lines")
	assert.NotContains(t, o.stdout.String()+o.stderr.String(), secret)
	assert.Regexp(t, `^55 lines \(100%\), [\d,]+/s(, 0s left)?: 51 sent, 2 refused, 2 ignored\n$`, o.stderr.String())

	refused, err := os.ReadFile(path + ".refused")
	require.NoError(t, err)
	first, rest, _ := strings.Cut(string(refused), "\n")
	want, err := json.Marshal(reject{52, "invalid timestamp: is missing", wrong})
	require.NoError(t, err)
	assert.JSONEq(t, string(want), first)
	assert.Contains(t, rest, `"line":53,"reason":"invalid message`)

	t.Run("without -resume, nothing is done twice", func(t *testing.T) {
		o := backfill(t.Context(), nil, nil, append(live, path)...)
		require.ErrorContains(t, o.err, "-resume")
		assert.Equal(t, 2, exitCode(o.err))
	})
	t.Run("with -resume, there is nothing left", func(t *testing.T) {
		before := len(server.Requests())
		o := backfill(t.Context(), nil, nil, append(append(live, "-resume"), path)...)
		require.NoError(t, o.err)
		assert.Contains(t, o.stderr.String(), "nothing left")
		assert.Contains(t, o.stdout.String(), "51 lines, 51 records")
		assert.Len(t, server.Requests(), before)
	})
}

func TestInputs(t *testing.T) {
	const n = 20
	content, padding := events(n), strings.Repeat("\x00", 10_000)
	for name, test := range map[string]struct{ file, stdin string }{
		"a file":                  {file: content},
		"a gzipped file":          {file: zipped(t, content)},
		"several gzipped as one":  {file: zipped(t, content[:100]) + zipped(t, content[100:])},
		"zeros behind gzip":       {file: zipped(t, content[:100]) + padding + zipped(t, content[100:]) + padding},
		"standard input":          {stdin: content},
		"gzipped standard input":  {stdin: zipped(t, content)},
		"CR LF and a byte mark":   {file: "\ufeff" + strings.ReplaceAll(content, "\n", "\r\n")},
		"no end of the last line": {file: strings.TrimSuffix(content, "\n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			server := kissmetricstest.NewServer(t)
			path := "-"
			if test.file != "" {
				path = writeFile(t, "events", test.file)
			}
			o := backfill(t.Context(), strings.NewReader(test.stdin), nil, "-api-key", secret, "-base-url", server.URL, "-rate", "0", path)
			require.NoError(t, o.err)
			assertEvents(t, server, n)
		})
	}
}

func TestInputThatEndsTooEarly(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	whole := zipped(t, events(2000))
	path := writeFile(t, "events.gz", whole[:len(whole)-20])
	o := backfill(t.Context(), nil, nil, "-api-key", secret, "-base-url", server.URL, "-rate", "0", path)
	require.ErrorIs(t, o.err, io.ErrUnexpectedEOF)
	assert.ErrorContains(t, o.err, "reading line ")
	assert.Equal(t, 1, exitCode(o.err))

	require.NoError(t, os.WriteFile(path, []byte(whole), 0o600))
	o = backfill(t.Context(), nil, nil, "-api-key", secret, "-base-url", server.URL, "-rate", "0", "-resume", path)
	require.NoError(t, o.err)
	assertEvents(t, server, 2000)
	assert.Empty(t, server.Ignored(), "nothing was repeated")
}

func TestLongLine(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	path := writeFile(t, "events", event(0)+strings.Repeat("x", maxLineBytes+100)+"\n"+event(1))
	o := backfill(t.Context(), nil, nil, "-api-key", secret, "-base-url", server.URL, "-rate", "0", path)
	require.NoError(t, o.err)
	assertEvents(t, server, 2)
	refused, err := os.ReadFile(path + ".refused")
	require.NoError(t, err)
	assert.JSONEq(t, `{"line":2,"reason":"the line is longer than 4 MiB"}`, string(refused))
}

func TestNow(t *testing.T) {
	t.Chdir(t.TempDir())
	server := kissmetricstest.NewServer(t)
	o := backfill(t.Context(), strings.NewReader(`{"type":"track","userId":"u","event":"e"}`), nil,
		"-api-key", secret, "-base-url", server.URL, "-now", "2026-03-02T09:30:00Z", "-prefix", "hyphen", "-")
	require.NoError(t, o.err)
	require.Len(t, server.Events("u"), 1)
	assert.Equal(t, time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC), server.Events("u")[0].Time)
}

// refusing is a Doer that answers like a proxy that lets nothing through.
var refusing = kissmetrics.DoerFunc(func(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody}, nil
})

func TestWhatIsRefusedOnTheWayIsTriedAgainAndTold(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{}, kissmetricstest.Fault{Status: http.StatusForbidden})
	path := writeFile(t, "events", events(3))
	o := backfill(t.Context(), nil, nil, "-api-key", secret, "-base-url", server.URL, "-rate", "0", "-workers", "1", path)
	require.NoError(t, o.err)
	assertEvents(t, server, 3)
	assert.NoFileExists(t, path+".refused")
}

func TestWhatIsRefusedForADayIsRefusedForGood(t *testing.T) {
	path := writeFile(t, "events", events(3))
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr strings.Builder
		p := program{stdout: &stdout, stderr: &stderr, every: 100 * time.Hour, saveEvery: time.Hour, doer: refusing}
		err := p.run(t.Context(), context.WithoutCancel(t.Context()), []string{"-api-key", secret, "-rate", "0", path})
		require.ErrorIs(t, err, errAllRefused)
		assert.Equal(t, 1, exitCode(err))
		assert.Contains(t, stdout.String(), "3   the server answered 403")
		assert.Contains(t, stderr.String(), "403 Forbidden", "the reason is told while it lasts")
		assert.NotContains(t, stderr.String(), secret)
	})
	refused, err := os.ReadFile(path + ".refused")
	require.NoError(t, err)
	assert.Contains(t, string(refused), `{"line":2,"reason":"the server answered 403","input":"{\"type\"`)
}

func TestARunThatSendsNothingFails(t *testing.T) {
	const wrong, excluded = `{"type":"track","userId":"u","event":"e"}` + "\n", `{"type":"track","integrations":{"All":false}}` + "\n"
	for name, test := range map[string]struct {
		content string
		want    error
	}{
		"every line is refused":                 {content: wrong + wrong, want: errAllRefused},
		"every line but those left out":         {content: excluded + "\n" + wrong, want: errAllRefused},
		"one line is sent":                      {content: wrong + event(0)},
		"there is nothing to send":              {content: ""},
		"nothing is meant for Kissmetrics":      {content: excluded},
		"one line is sent, the rest left out":   {content: excluded + event(0)},
		"one line is sent, the rest is no JSON": {content: "{\n[\n" + event(0)},
	} {
		t.Run(name, func(t *testing.T) {
			server := kissmetricstest.NewServer(t)
			args := []string{"-api-key", secret, "-base-url", server.URL, "-rate", "0", "-resume", writeFile(t, "events", test.content)}
			for range 2 { // a run that finds nothing left to do says the same
				o := backfill(t.Context(), nil, nil, args...)
				require.ErrorIs(t, o.err, test.want)
				if test.want != nil {
					assert.Equal(t, 1, exitCode(o.err))
				}
				assert.Contains(t, o.stdout.String(), "refused")
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":         {[]string{"-colour"}, "not defined: -colour"},
		"misspelled key":       {[]string{"-apikey=" + secret}, "not defined: -apikey"},
		"key without a file":   {[]string{"-api-key", secret}, "needs a file"},
		"key and files":        {[]string{"-api-key", secret, "-import", "out", "x"}, "only one of the two"},
		"empty key":            {[]string{"-api-key", "", "-"}, "WithAPIKey is required"},
		"two files":            {[]string{"a", secret}, "expected one file"},
		"no such file":         {[]string{"nowhere.jsonl"}, "no such file"},
		"a directory":          {[]string{"."}, "not a readable file"},
		"server alone":         {[]string{"-base-url", "https://trk.kissmetrics.com"}, "-base-url needs -api-key"},
		"a rate below zero":    {[]string{"-rate", "-1"}, "-rate"},
		"no workers":           {[]string{"-workers", "0"}, "-workers"},
		"no size":              {[]string{"-file-size", "0"}, "-file-size"},
		"unknown prefix":       {[]string{"-prefix", "x"}, "-prefix"},
		"no time":              {[]string{"-now", "soon"}, "-now"},
		"nothing to resume":    {[]string{"-resume"}, "-resume needs"},
		"several at once":      {[]string{"-rate", "-1", "-workers", "0"}, "-workers"},
		"a time below nothing": {[]string{"-grace", "-1s"}, "-grace"},
	} {
		t.Run(name, func(t *testing.T) {
			o := backfill(t.Context(), nil, nil, test.args...)
			require.ErrorContains(t, o.err, test.want)
			assert.Equal(t, 2, exitCode(o.err))
			assert.NotContains(t, o.err.Error(), secret)
		})
	}
}

func TestHelp(t *testing.T) {
	o := backfill(t.Context(), nil, nil, "-h")
	require.NoError(t, o.err)
	for _, want := range []string{"kissmetrics-backfill [flags] [file]", "-api-key key", "-resume", "-rate n"} {
		assert.Contains(t, o.stdout.String(), want)
	}
}

func TestWhatIsNotForKissmetricsIsLeftOut(t *testing.T) {
	for integrations, sent := range map[string]bool{
		`{"All":false}`:                    false,
		`{"Kissmetrics":false}`:            false,
		`{"All":false,"Kissmetrics":true}`: true,
		`{"Google Analytics":false}`:       true,
	} {
		t.Run(integrations, func(t *testing.T) {
			server := kissmetricstest.NewServer(t)
			line := `{"integrations":` + integrations + `,` + event(0)[1:]
			o := backfill(t.Context(), nil, nil, "-api-key", secret, "-base-url", server.URL, writeFile(t, "events", line))
			require.NoError(t, o.err)
			assert.Equal(t, sent, len(server.Requests()) == 1)
			assert.Equal(t, !sent, strings.Contains(o.stdout.String(), "ignored             1 lines"))
		})
	}
}

func TestAdjustmentsAreCountedByKind(t *testing.T) {
	cut := kissmetrics.Adjustment{Field: "property", Property: "url", Kind: kissmetrics.AdjustedValueCut}
	late := kissmetrics.Adjustment{Field: "timestamp", Kind: kissmetrics.AdjustedTime}
	track := newTracker(state{})
	for _, e := range []*entry{
		{adjusted: []kissmetrics.Adjustment{cut, cut, late}},
		{adjusted: []kissmetrics.Adjustment{late}},
		{},
		{adjusted: []kissmetrics.Adjustment{cut}, reasons: []string{"refused"}}, // so nothing of it was sent
	} {
		require.NoError(t, track.add(t.Context(), e))
	}
	_, s := track.take()
	assert.Equal(t, counts{Sent: 3, Changed: 2, Refused: 1}, s.counts)
	assert.Equal(t, map[string]int64{"value cut": 2, "time replaced": 2}, s.Adjustments)

	var stdout strings.Builder
	j := &job{in: &input{name: "events"}, program: &program{stdout: &stdout}, checkpoint: &checkpoint{state: s}}
	require.NoError(t, j.summary())
	assert.Contains(t, stdout.String(), "2 lines of these with something adjusted\n                      2   time replaced\n                      2   value cut\n")
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var recorder kissmetricstest.Recorder
		sender := limited(&recorder, 50)
		record := kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "u", Name: "e", Time: time.Unix(1.7e9, 0)}
		start := time.Now()
		for range 10 {
			require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{record, record}))
		}
		assert.InDelta(t, 19*20*time.Millisecond, time.Since(start), float64(time.Millisecond), "each record waits for its turn")
		assert.Len(t, recorder.Records(), 20)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, sender.Send(ctx, []kissmetrics.Record{record}), context.Canceled)
	})
}
