package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "s3cret-key"

// A program is one that runs.
type program struct {
	url    string
	intro  string
	log    bytes.Buffer // to be read once it has ended
	cancel context.CancelFunc
	ended  chan error
	client *http.Client
	auth   [2]string // user and password
}

func start(t *testing.T, environment map[string]string) *program {
	t.Helper()
	if environment["RELAY_UNDELIVERED"] == "" {
		environment["RELAY_UNDELIVERED"] = filepath.Join(t.TempDir(), "undelivered.jsonl")
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	p := &program{ended: make(chan error, 1), client: &http.Client{Transport: transport}, auth: [2]string{"demo", ""}}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(t.Context())
	told := make(chan string, 1)
	go func() {
		p.ended <- run(ctx, func(name string) string { return environment[name] }, writer(told), slog.New(slog.NewTextHandler(&p.log, nil)))
	}()
	select {
	case p.intro = <-told:
	case err := <-p.ended:
		require.NoError(t, err)
	}
	p.url = "http://" + regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(p.intro)
	return p
}

// stop ends the program and returns its error.
func (p *program) stop() error {
	p.cancel()
	return <-p.ended
}

// writer hands on what is written.
type writer chan string

func (w writer) Write(b []byte) (int, error) { w <- string(b); return len(b), nil }

// ask makes a request and returns its answer.
func (p *program) ask(t *testing.T, method, path, body string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.SetBasicAuth(p.auth[0], p.auth[1])
	response, err := p.client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer)
}

const track = `{"userId":"ada","event":"Signed Up","timestamp":"2026-03-02T09:40:00Z","properties":{"plan":"pro"}}`

func TestWithNoConfiguration(t *testing.T) {
	keptFile := filepath.Join(t.TempDir(), "undelivered.jsonl")
	const kept = `{"_p":"real","_t":1772444400,"_n":"E"}` + "\n"
	require.NoError(t, os.WriteFile(keptFile, []byte(kept), 0o600))
	p := start(t, map[string]string{"RELAY_UNDELIVERED": keptFile})
	assert.Contains(t, p.intro, "curl -u demo: "+p.url+"/v1/track -d '{")
	_, command, _ := strings.Cut(p.intro, "-d '")
	body, _, _ := strings.Cut(command, "'")
	status, text := p.ask(t, http.MethodPost, "/v1/track", body)
	assert.Equal(t, http.StatusOK, status, text)
	status, _ = p.ask(t, http.MethodPost, "/v1/track", `{"userId":"ada"}`)
	assert.Equal(t, http.StatusBadRequest, status)
	status, text = p.ask(t, http.MethodGet, "/healthz", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, "ok\n")
	require.Eventually(t, func() bool {
		_, text = p.ask(t, http.MethodGet, "/metrics", "")
		return strings.Contains(text, `kissmetrics_queue_records_total{outcome="delivered"} 1`)
	}, 10*time.Second, 10*time.Millisecond)
	for _, want := range []string{`relay_messages_total{outcome="accepted",source="default"} 1`, `relay_messages_total{outcome="refused",source="default"} 1`,
		`kissmetrics_queue_records_total{outcome="accepted"} 1`, "kissmetrics_queue_waiting_records 0", "kissmetrics_queue_outage 0", "go_goroutines"} {
		assert.Contains(t, text, want)
	}
	require.NoError(t, p.stop())
	after, err := os.ReadFile(keptFile)
	require.NoError(t, err)
	assert.Equal(t, kept, string(after), "what waits for the real server is not for this one")
}

// failing returns the configuration of a relay to a server that is away.
func failing(t *testing.T) (tracking *kissmetricstest.Server, environment map[string]string) {
	tracking = kissmetricstest.NewServer(t)
	tracking.FailWith(func(*http.Request) *kissmetricstest.Fault {
		return &kissmetricstest.Fault{Status: http.StatusServiceUnavailable}
	})
	return tracking, map[string]string{
		"KISSMETRICS_API_KEY": key, "KISSMETRICS_BASE_URL": tracking.URL, "RELAY_WRITE_KEYS": "other, demo", "RELAY_ADDRESS": "127.0.0.1:0",
		"RELAY_UNDELIVERED": filepath.Join(t.TempDir(), "undelivered.jsonl"), "RELAY_SHUTDOWN_TIMEOUT": "100ms",
	}
}

// An import would refuse an alias without a time, and all that are with it.
func TestAliasWithoutATimeIsSavedToo(t *testing.T) {
	tracking, environment := failing(t)
	p := start(t, environment)
	status, text := p.ask(t, http.MethodPost, "/v1/import", `{"batch":[{"type":"alias","userId":"ada","previousId":"browser-1"},`+
		`{"type":"track","userId":"ada","event":"E","timestamp":"2026-03-02T09:40:00Z"}]}`)
	assert.JSONEq(t, `{"success":true}`, text)
	assert.Equal(t, http.StatusOK, status)
	require.NoError(t, p.stop())

	tracking.FailWith(nil)
	environment["RELAY_SHUTDOWN_TIMEOUT"] = "20s"
	require.NoError(t, start(t, environment).stop())
	assert.ElementsMatch(t, []string{"ada", "browser-1"}, tracking.Identities("ada"))
	assert.Len(t, tracking.Events("ada"), 1)
}

func TestFileForWhichTheQueueHasNoRoom(t *testing.T) {
	tracking, environment := failing(t)
	var lines strings.Builder
	const n = 100_005 // a queue has room for 100,000
	for i := range n {
		_, _ = fmt.Fprintf(&lines, `{"_p":"ada","_t":%d,"_n":"E"}`+"\n", 1_700_000_000+i)
	}
	file := environment["RELAY_UNDELIVERED"]
	require.NoError(t, os.WriteFile(file, []byte(lines.String()), 0o600))
	p := start(t, environment)
	require.NoError(t, p.stop())
	assert.Contains(t, p.log.String(), `records=100000 "left for the next start"=5`)
	saved, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, n, strings.Count(string(saved), "\n"))
	assert.Empty(t, tracking.Events("ada"))
}

func TestWhatIsNotDeliveredIsSavedAndTakenUpAgain(t *testing.T) {
	tracking, environment := failing(t)
	file := environment["RELAY_UNDELIVERED"]
	for range 2 { // and what was taken up is saved again
		p := start(t, environment)
		status, text := p.ask(t, http.MethodPost, "/v1/track", track)
		assert.Equal(t, http.StatusOK, status, text)
		require.NoError(t, p.stop())
		assert.Contains(t, p.log.String(), "saved what was not delivered")
		assert.NotContains(t, p.log.String()+p.intro, key)
	}
	saved, err := os.ReadFile(file)
	require.NoError(t, err)
	line := `{"_p":"ada","_t":1772444400,"_n":"Signed Up","plan":"pro"}` + "\n"
	assert.Equal(t, line+line, string(saved))
	assert.Empty(t, tracking.Events("ada"))

	tracking.FailWith(nil)
	p := start(t, environment)
	require.Eventually(t, func() bool { return len(tracking.Events("ada")) == 1 }, 10*time.Second, 10*time.Millisecond)
	environment["RELAY_SHUTDOWN_TIMEOUT"] = "20s"
	require.Eventually(t, func() bool {
		_, text := p.ask(t, http.MethodGet, "/metrics", "")
		return strings.Contains(text, "kissmetrics_queue_waiting_records 0")
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, p.stop())
	assert.NoFileExists(t, file)
	assert.Contains(t, p.log.String(), "taking up what was not delivered")
}

func TestWrongConfiguration(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.jsonl")
	require.NoError(t, os.WriteFile(broken, []byte("{\"_p\":\"p\",\"_t\":1772444400,\"_n\":\"E\"}\nnonsense\n"), 0o600))
	good := map[string]string{"KISSMETRICS_API_KEY": key, "RELAY_WRITE_KEYS": "demo", "RELAY_ADDRESS": "127.0.0.1:0",
		"RELAY_UNDELIVERED": filepath.Join(t.TempDir(), "x"), "KISSMETRICS_BASE_URL": "http://127.0.0.1:1"}
	for name, test := range map[string]struct{ variable, value, want string }{
		"no write key":        {"RELAY_WRITE_KEYS", " ,", "RELAY_WRITE_KEYS is empty"},
		"a source without":    {"RELAY_SOURCES", "shop", "RELAY_SOURCES is not a list of name=key"},
		"a source's key":      {"RELAY_SOURCES", "shop=demo", "empty, or twice"},
		"no public URL":       {"RELAY_PUBLIC_URL", "shop.example", "WithPublicURL"},
		"no time":             {"RELAY_SHUTDOWN_TIMEOUT", "soon", "RELAY_SHUTDOWN_TIMEOUT"},
		"no origin":           {"RELAY_ORIGINS", "shop", "WithOrigins"},
		"no URL":              {"KISSMETRICS_BASE_URL", "localhost", "WithBaseURL"},
		"no address":          {"RELAY_ADDRESS", "nowhere:x", "listening"},
		"a file that is none": {"RELAY_UNDELIVERED", broken, "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			getenv := func(name string) string {
				if name == test.variable {
					return test.value
				}
				return good[name]
			}
			err := run(t.Context(), getenv, io.Discard, slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), key)
		})
	}
	assert.FileExists(t, broken, "what could not be read is not thrown away")
}
