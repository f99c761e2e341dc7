package collect_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A wire is a request as an SDK makes it, written anew by hand after the real one. In
// its header and body, KEY stands for the write key, and {sent …} and {event …} for
// times in the given layout.
type wire struct {
	SDK     string            `json:"sdk"`
	Library string            `json:"library"` // its name in context.library
	Written string            `json:"written"` // when its sentAt is: for every try, for the batch, for the message, or never
	Path    string            `json:"path"`
	Header  map[string]string `json:"header"`
	Body    json.RawMessage   `json:"body"`
}

// wires returns the wires of testdata.
func wires(t *testing.T) (all []wire) {
	t.Helper()
	data, err := os.ReadFile("testdata/clocks.jsonl")
	require.NoError(t, err)
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data))
	for lines.Scan() {
		var w wire
		require.NoError(t, json.Unmarshal(lines.Bytes(), &w))
		all = append(all, w)
	}
	require.NoError(t, lines.Err())
	require.Greater(t, len(all), 50)
	return all
}

var moment = regexp.MustCompile(`\{(sent|event) ([^}@]*)(@UTC)?\}`)

// at fills in the times of a text. A layout with an offset is one of local time, unless
// it says UTC.
func (w wire) at(text string, sent, event time.Time) string {
	local := time.FixedZone("", 2*60*60)
	text = strings.ReplaceAll(text, "KEY", writeKey)
	return moment.ReplaceAllStringFunc(text, func(found string) string {
		parts := moment.FindStringSubmatch(found)
		t := map[string]time.Time{"sent": sent, "event": event}[parts[1]].UTC()
		if strings.Contains(parts[2], "07") && parts[3] == "" {
			t = t.In(local)
		}
		return t.Format(parts[2])
	})
}

// send makes the request, and returns when the event of it happened.
func (w wire) send(t *testing.T, sent, event time.Time) time.Time {
	t.Helper()
	r := newReceiver(t)
	a := r.do(t, w.Path, w.at(string(w.Body), sent, event), func(r *http.Request) {
		query := strings.ReplaceAll(r.URL.RawQuery, "KEY", writeKey)
		r.URL.RawQuery = query
		if w.Header["Authorization"] == "" {
			r.Header.Del("Authorization")
		}
		for name, value := range w.Header {
			if name != "Authorization" {
				r.Header.Set(name, w.at(value, sent, event))
			}
		}
	})
	require.Equal(t, `{"success":true}`, a.text)
	require.Len(t, r.recorder.Records(), 1)
	return r.recorder.Records()[0].Time
}

func TestTheClockOfEverySDK(t *testing.T) {
	for _, w := range wires(t) {
		t.Run(w.SDK, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				toToday()
				const transit = 250 * time.Millisecond
				happened := time.Now().UTC().Add(-5 * time.Minute)
				started := time.Now()
				device := func(off time.Duration) time.Duration { // by how much what came of it is off
					sent := time.Now().Add(off)
					time.Sleep(transit)
					return w.send(t, sent, happened.Add(off)).Sub(happened)
				}
				const hours = 3 * time.Hour
				slow, fast := time.Duration(0), time.Duration(0)
				switch w.Written {
				case "the batch", "the message":
					slow = -hours // which may as well be a delay
				case "never":
					slow, fast = -hours, hours
				}
				assert.Zero(t, device(0), "a right clock")
				assert.Equal(t, slow, device(-hours), "a slow clock")
				assert.Equal(t, fast, device(hours), "a fast clock")

				// The same again at another instance, 20 minutes later and 2 days later.
				for _, later := range []time.Duration{20 * time.Minute, 48 * time.Hour} {
					time.Sleep(later)
					sent := started
					if w.Written == "every try" {
						sent = time.Now()
					}
					time.Sleep(transit)
					assert.Equal(t, happened.Truncate(time.Second), w.send(t, sent, happened), "the second of %v later", later)
				}
			})
		})
	}
}

// TestTheTableOfClocks compares the table in SDKS.md with what is tested.
func TestTheTableOfClocks(t *testing.T) {
	page, err := os.ReadFile("SDKS.md")
	require.NoError(t, err)
	var want strings.Builder
	for _, w := range wires(t) {
		slow, fast := "corrected", "corrected"
		switch w.Written {
		case "the batch", "the message":
			slow = "believed"
		case "never":
			slow, fast = "believed", "believed"
		}
		_, _ = fmt.Fprintf(&want, "| %s | `%s` | %s | %s | %s |\n", w.SDK, w.Library, w.Written, slow, fast)
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("the table in SDKS.md is not this:\n%s", want.String())
	}
}
