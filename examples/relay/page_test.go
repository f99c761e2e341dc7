package main

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// as makes a request with another user and password.
func (p *program) as(t *testing.T, user, password, method, path, body string) (status int, text string) {
	t.Helper()
	before := p.auth
	defer func() { p.auth = before }()
	p.auth = [2]string{user, password}
	return p.ask(t, method, path, body)
}

func TestThePageShowsEachSource(t *testing.T) {
	p := start(t, map[string]string{"RELAY_SOURCES": "shop=k1, blog=k2, shop=k3"})
	for _, key := range []string{"k1", "k3", "k2"} {
		status, text := p.as(t, key, "", http.MethodPost, "/v1/track", track)
		assert.Equal(t, http.StatusOK, status, text)
	}
	p.as(t, "k1", "", http.MethodPost, "/v1/batch", `{"batch":[{"type":"track","userId":"s3cret"},{"type":"<script>","messageId":"s3cret","userId":"u"}]}`)
	p.as(t, "k2", "", http.MethodPost, "/v1/track", `{"userId":"u","event":"E","properties":"s3cret"}`)
	status, text := p.ask(t, http.MethodGet, "/", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, `<th scope="row">shop</th><td class="n">4</td><td class="n">2</td><td class="n">0</td><td class="n">0</td><td class="n">0</td><td class="n">0</td><td class="n bad">2</td>`)
	assert.Contains(t, text, `<th scope="row">blog</th><td class="n">2</td><td class="n">2</td><td class="n">0</td><td class="n">0</td><td class="n">1</td>`)
	assert.Contains(t, text, "<td>track</td><td>refused</td><td>kissmetrics: invalid event: is missing</td>")
	assert.Contains(t, text, "<td>unknown</td><td>refused</td>")
	assert.Contains(t, text, "<td>blog</td><td>track</td><td>adjusted</td><td>properties: no object, dropped</td>")
	assert.NotContains(t, text, "s3cret")
	assert.NotContains(t, text, "<script>")
	_, text = p.ask(t, http.MethodGet, "/metrics", "")
	assert.Contains(t, text, `relay_messages_total{outcome="accepted",source="blog"} 2`)
	assert.Contains(t, text, `relay_adjustments_total{kind="no object, dropped",source="blog"} 1`)
	require.NoError(t, p.stop())
}

func TestWhoMaySeeThePage(t *testing.T) {
	production := func(password string) map[string]string {
		tracking := kissmetricstest.NewServer(t)
		return map[string]string{"KISSMETRICS_API_KEY": key, "KISSMETRICS_BASE_URL": tracking.URL, "RELAY_WRITE_KEYS": "demo",
			"RELAY_ADDRESS": "127.0.0.1:0", "RELAY_PASSWORD": password}
	}
	p := start(t, production(""))
	status, _ := p.ask(t, http.MethodGet, "/", "")
	assert.Equal(t, http.StatusNotFound, status, "nobody")
	require.NoError(t, p.stop())

	p = start(t, production("open sesame"))
	status, text := p.as(t, "me", "open sesam", http.MethodGet, "/", "")
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.NotContains(t, text, "Sources")
	status, text = p.as(t, "me", "open sesame", http.MethodGet, "/", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, "Sources")
	require.NoError(t, p.stop())
}

// SDKs turn a redirected POST into a GET, and take its 200 for success.
func TestNoRedirects(t *testing.T) {
	p := start(t, map[string]string{"RELAY_SHORT_PATHS": "1"})
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	batch := `{"batch":[` + strings.Replace(track, "{", `{"type":"track",`, 1) + `]}`
	for _, path := range []string{"//v1/batch", "/v1/batch/", "/v1//import/", "/b", "/v1/./batch"} {
		status, _ := p.ask(t, http.MethodPost, path, batch)
		want := http.StatusOK
		if strings.Contains(path, ".") {
			want = http.StatusNotFound
		}
		assert.Equal(t, want, status, path)
	}
	require.NoError(t, p.stop())
}

func TestSDKsAreConfigured(t *testing.T) {
	p := start(t, map[string]string{})
	status, text := p.ask(t, http.MethodGet, "/sourceConfig/?p=web", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, `"enabled":true`)
	status, text = p.ask(t, http.MethodGet, "/v1/projects/demo/settings", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, `"apiHost":"`+strings.TrimPrefix(p.url, "http://")+`/v1"`, "it is its own public URL")
	require.NoError(t, p.stop())
}

func TestRateIsThatOfTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(config{writeKeys: []string{"k"}})
		rate := func() int { return p.view(kissmetrics.Stats{}).Sources[0].Rate }
		assert.Zero(t, rate())
		for range 90 {
			p.note(collect.Result{Outcome: collect.Accepted})
			time.Sleep(time.Second)
		}
		assert.Equal(t, 59, rate(), "and the one of this second is yet to come")
		time.Sleep(30 * time.Second)
		assert.Equal(t, 29, rate())
		time.Sleep(time.Hour)
		assert.Zero(t, rate())
	})
}

func TestNotesAreBounded(t *testing.T) {
	p := newPage(config{})
	for range 3 * keptNotes {
		p.note(collect.Result{Outcome: collect.Refused, Err: kissmetrics.ErrClosed, Adjustments: make([]kissmetrics.Adjustment, 10)})
	}
	assert.Len(t, p.view(kissmetrics.Stats{}).Notes, keptNotes)
	assert.Equal(t, 3*keptNotes, p.view(kissmetrics.Stats{}).Sources[0].Refused)
}
