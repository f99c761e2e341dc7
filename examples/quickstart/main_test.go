package main

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

const secret = "s3cret-api-key"

var update = flag.Bool("update", false, "write the output of the program to its golden file")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output runs the program and returns what it wrote, also where it failed.
func output(ctx context.Context, args ...string) (string, error) {
	var b strings.Builder
	err := run(ctx, args, &b)
	return b.String(), err
}

func TestOutput(t *testing.T) {
	golden := filepath.Join("testdata", "quickstart.golden")
	got, err := output(t.Context())
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got)
	assertReadable(t, got)
}

// assertReadable checks that a text suits a terminal.
func assertReadable(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		assert.LessOrEqual(t, utf8.RuneCountInString(line), 100, "%q", line)
		assert.Equal(t, strings.TrimRight(line, " "), line)
		assert.NotContains(t, line, "\x1b")
	}
}

func TestAPIKey(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	start := time.Now()

	got, err := output(t.Context(), "-api-key", secret, "-base-url", server.URL)

	require.NoError(t, err)
	assert.NotContains(t, got, secret)
	assert.Contains(t, got, server.URL)
	assert.Contains(t, got, "/s (properties)\n        _k        ****\n        _p        quickstart-user\n")
	assert.Contains(t, got, "sku       TEE-4")
	assert.Contains(t, got, "answers 200 to everything")
	assertReadable(t, got)

	assert.Empty(t, server.Ignored())
	require.Len(t, server.Requests(), 8)
	for _, r := range server.Requests() {
		assert.Equal(t, secret, r.Params.Get("_k"))
	}
	assert.Len(t, server.History(userID, "sku"), 3)
	events := server.Events(userID)
	require.Len(t, events, 3)
	assert.WithinRange(t, events[2].Time, start.Truncate(time.Second), time.Now())
}

func TestHelp(t *testing.T) {
	got, err := output(t.Context(), "-h")
	require.NoError(t, err)
	assert.Contains(t, got, "-api-key key")
	assert.Contains(t, got, kissmetrics.DefaultBaseURL)
}

func TestUsageErrors(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":     {[]string{"-colour"}, "not defined: -colour"},
		"misspelled key":   {[]string{"-apikey=" + secret}, "not defined: -apikey"},
		"too many hyphens": {[]string{"---api-key=" + secret}, "bad flag syntax"},
		"key without flag": {[]string{secret}, "expected only flags"},
		"no key":           {[]string{"-api-key"}, "needs an argument"},
		"empty key":        {[]string{"-api-key", ""}, "WithAPIKey is required"},
		"space in the key": {[]string{"-api-key", secret + " "}, "white space"},
		"server alone":     {[]string{"-base-url", "https://trk.kissmetrics.com"}, "-base-url needs -api-key"},
		"not a server":     {[]string{"-api-key", secret, "-base-url", "localhost"}, "WithBaseURL"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := output(t.Context(), test.args...)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), secret)
			assert.Equal(t, 2, exitCode(err))
			assert.Empty(t, got)
		})
	}
}

func TestRefused(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		if r.URL.Path != "/a" {
			return nil
		}
		return &kissmetricstest.Fault{Status: http.StatusForbidden}
	})

	got, err := output(t.Context(), "-api-key", secret, "-base-url", server.URL)

	delivery, ok := errors.AsType[*kissmetrics.DeliveryError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, kissmetrics.FailureRefused, delivery.Kind)
	assert.ErrorContains(t, err, "step 2: ")
	assert.NotContains(t, err.Error()+got, secret)
	assert.Equal(t, 1, exitCode(err))
	assert.Contains(t, got, "client.Alias(", "the call that failed is shown")
	assert.NotContains(t, got, "client.Identify(", "and nothing follows it")
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := output(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, exitCode(err))
}

// fullDisk fails the write after the first few.
type fullDisk struct{ left int }

var errFull = errors.New("disk full")

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.left--; d.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestOutputThatFails(t *testing.T) {
	for _, left := range []int{0, 1, 2, 13} { // the introduction, a call, a request, the end
		err := run(t.Context(), nil, &fullDisk{left})
		require.ErrorIs(t, err, errFull, "after %d writes", left)
		assert.Equal(t, 1, exitCode(err))
	}
	require.NoError(t, run(t.Context(), nil, &fullDisk{15}), "there are no more writes than these")
}

func TestIgnoredIsTold(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // leaves no goroutine behind
	for _, query := range []string{"/e?_k=k&_n=E", "/s?_k=k&_p=p&_t=1700000000&_d=1&a=1", "/s?_k=k&_p=p&_t=1700000000&_d=1&a=1"} {
		response, err := client.Get(server.URL + query)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	assert.Equal(t, "\n  /e: no person"+
		"\n  /s, property \"a\": the property was seen with the same person and second",
		ignoredText(server.Ignored()))
}
