package collect_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

func TestGzipBombTakesNoMoreMemoryThanABody(t *testing.T) {
	r := newReceiver(t, collect.WithLimits(1<<20, 100))
	bomb := zipped(t, `{"batch":[`+strings.Repeat(" ", 64<<20)+`]}`)
	require.Less(t, len(bomb), 1<<20, "it passes for a small body")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := r.do(t, "/v1/batch", bomb, set("Content-Encoding", "gzip"))
	runtime.ReadMemStats(&after)
	assert.Equal(t, http.StatusRequestEntityTooLarge, a.status)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}

func TestNesting(t *testing.T) {
	for _, levels := range []int{60, 1000, 1_000_000} {
		r := newReceiver(t)
		deep := strings.Repeat(`{"a":`, levels) + `1` + strings.Repeat(`}`, levels)
		lists := strings.Repeat(`[`, levels) + strings.Repeat(`]`, levels)
		message := func(properties string) string {
			return `{"type":"track","userId":"u","event":"E","properties":` + properties + `,` + at + `}`
		}
		a := r.do(t, "/v1/batch", `{"context":`+lists+`,"batch":[`+message(deep)+`,`+message(`{"a":`+lists+`}`)+`,`+track+`]}`)
		if levels == 60 {
			assert.Equal(t, `{"success":true}`, a.text)
			continue
		}
		if levels*14 > 4<<20 {
			assert.Equal(t, http.StatusRequestEntityTooLarge, a.status)
			continue
		}
		assert.Equal(t, http.StatusOK, a.status)
		assert.Zero(t, a.body.Rejected, "what is too deep is left out")
		assert.Equal(t, []string{"E", "E", "E"}, r.names())
	}
	r := newReceiver(t, collect.WithLimits(64<<20, 10))
	deep := strings.Repeat(`{"a":`, 1_000_000)
	assert.Equal(t, http.StatusBadRequest, r.do(t, "/v1/batch", deep).status)
	assert.Equal(t, http.StatusBadRequest, r.do(t, "/v1/track", deep+`1`+strings.Repeat(`}`, 1_000_000)).status)
}

func TestHugeBatch(t *testing.T) {
	r := newReceiver(t)
	a, took := allocated(t, r, `{"batch":[`+strings.Repeat(`0,`, 2<<20-10)+`0]}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, a.status)
	assert.Empty(t, r.outcomes())
	assert.Less(t, took, uint64(128<<20), "what lies beyond the limit costs no memory but its own")
}

// allocated returns how many bytes were allocated for a request.
func allocated(t *testing.T, r *receiver, body string) (answer, uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := r.do(t, "/v1/batch", body)
	runtime.ReadMemStats(&after)
	return a, after.TotalAlloc - before.TotalAlloc
}

// What a batch says once, for all of its messages, must not cost once for each.
func TestWhatABatchLendsIsBounded(t *testing.T) {
	var members []string
	for i := range 2000 {
		members = append(members, fmt.Sprintf(`"%d":"x"`, i))
	}
	const messages = 2000
	t.Run("integrations", func(t *testing.T) {
		a, took := allocated(t, newReceiver(t), `{"integrations":{`+strings.Join(members, ",")+`,"x":false},"batch":[`+track+strings.Repeat(`,{}`, messages)+`]}`)
		assert.Equal(t, http.StatusOK, a.status)
		assert.Less(t, took, uint64(32<<20))
	})
	t.Run("traits", func(t *testing.T) {
		context := `{"traits":{` + strings.Join(members, ",") + `}}`
		r := newReceiver(t, collect.WithLimits(20*len(context), messages))
		a, took := allocated(t, r, `{"context":`+context+`,"batch":[`+strings.Repeat(`{"type":"identify","userId":"u"},`, messages-1)+track+`]}`)
		assert.Equal(t, http.StatusOK, a.status)
		assert.Equal(t, 20+1, a.body.Accepted, "those that have no need of the context as well")
		assert.Contains(t, a.body.Errors[0].Error, "too large for so many messages")
		assert.Less(t, took, uint64(64<<20))
	})
}

// TestSlowBody sends half of a body, and waits.
func TestSlowBody(t *testing.T) {
	for name, configure := range map[string]func(*http.Server) []collect.Option{
		"the handler's limit": func(*http.Server) []collect.Option {
			return []collect.Option{collect.WithReadTimeout(50 * time.Millisecond)}
		},
		"a shorter one of the server's": func(s *http.Server) []collect.Option { s.ReadTimeout = 50 * time.Millisecond; return nil },
	} {
		for _, key := range []string{writeKey, "wrong"} {
			t.Run(name+" "+key, func(t *testing.T) {
				server := httptest.NewUnstartedServer(nil)
				r := newReceiver(t, configure(server.Config)...)
				server.Config.Handler = r
				server.Start()
				defer server.Close()
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				require.NoError(t, err)
				defer func() { _ = conn.Close() }()
				request, err := http.NewRequest(http.MethodPost, server.URL+"/v1/batch", nil)
				require.NoError(t, err)
				request.SetBasicAuth(key, "")
				_, err = fmt.Fprintf(conn, "POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\n{\"batch\":", request.Header.Get("Authorization"))
				require.NoError(t, err)
				response, err := http.ReadResponse(bufio.NewReader(conn), request)
				require.NoError(t, err)
				assert.Equal(t, map[bool]int{true: 503, false: 401}[key == writeKey], response.StatusCode)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				_, err = conn.Read(make([]byte, 1))
				assert.ErrorIs(t, err, io.EOF, "the connection is closed")
			})
		}
	}
}

// A deadlined response notes whether a deadline was set for the reading of its request.
type deadlined struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlined) SetReadDeadline(time.Time) error { d.set++; return nil }

func TestAShorterReadTimeoutOfTheServerIsLeftAsItIs(t *testing.T) {
	r := newReceiver(t, collect.WithReadTimeout(time.Minute))
	for timeout, want := range map[time.Duration]int{0: 1, time.Minute - 1: 0, time.Hour: 1} {
		request := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.ServerContextKey, &http.Server{ReadTimeout: timeout}), //nolint:gosec // it serves nothing
			http.MethodPost, "/v1/track?writeKey="+writeKey, strings.NewReader(track))
		w := &deadlined{ResponseRecorder: httptest.NewRecorder()}
		r.ServeHTTP(w, request)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, want, w.set, timeout)
	}
}

// TestSlowSender takes longer than a body may: that is no reason to end its
// context, nor the connection.
func TestSlowSender(t *testing.T) {
	var r receiver
	s := &sender{next: &r.recorder}
	r.with(t, s, collect.WithReadTimeout(50*time.Millisecond))
	server := httptest.NewServer(&r)
	defer server.Close()
	s.fail = func([]kissmetrics.Record) error { <-time.After(150 * time.Millisecond); return nil }
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for i := range 2 {
		response, err := client.Post(server.URL+"/v1/track?writeKey="+writeKey, "text/plain", strings.NewReader(event(fmt.Sprint("E", i))))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, response.StatusCode)
		_, _ = io.Copy(io.Discard, response.Body)
		require.NoError(t, response.Body.Close())
	}
	assert.Equal(t, []string{"E0", "E1"}, r.names())
}

func TestNothingSecretIsLogged(t *testing.T) {
	var log bytes.Buffer
	r := &receiver{}
	s := &sender{next: &r.recorder, fail: failOn(fmt.Errorf("s3cret"), "fails")}
	r.with(t, s, collect.WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	const message = `{"type":"track","messageId":"s3cret","userId":"s3cret","event":"fails","properties":{"x":"s3cret"},` + at + `}`
	answers := r.do(t, "/v1/batch", batch(message)).text
	answers += r.do(t, "/v1/batch", batch(`{"type":"track","userId":"s3cret","properties":{"x":"s3cret"}}`, track)).text
	answers += r.do(t, "/v1/batch", batch(message), func(r *http.Request) { r.SetBasicAuth("s3cret", "s3cret") }).text
	answers += r.do(t, "/v1/batch", `s3cret`).text
	assert.Contains(t, log.String(), "asked to try again")
	assert.Contains(t, log.String(), "messages refused")
	assert.NotContains(t, log.String()+answers, "s3cret")
}
