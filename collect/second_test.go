package collect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// toToday ends the years before which Kissmetrics keeps nothing: a bubble begins in
// 2000.
func toToday() { time.Sleep(27 * 365 * 24 * time.Hour) }

func stamp(t time.Time) string { return `"` + t.UTC().Format("2006-01-02T15:04:05.000Z") + `"` }

// A message that was not accepted may have been stored all the same, so its repeat
// must not be another event.
func TestARepeatHappensAtItsFirstReceipt(t *testing.T) {
	for name, messages := range map[string][2]string{
		"without a time":         {`"messageId":"m"`, `"messageId":"m"`},
		"with a time of its own": {`"messageId":"m","timestamp":"2026-12-25T09:00:00Z"`, `"messageId":"m","timestamp":"2026-12-25T09:01:00Z"`},
		"with no readable time":  {`"messageId":"m","timestamp":"10:22"`, `"messageId":"m","timestamp":"10:23"`},
		"from a wrong clock":     {`"messageId":"m","timestamp":"1970-01-01T00:01:00Z"`, `"messageId":"m","timestamp":"1970-01-01T00:02:00Z"`},
	} {
		for kind, path := range map[string]string{"track": "/v1/track", "identify": "/v1/batch", "page": "/v1/import"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					toToday()
					var stored [][]kissmetrics.Record
					r, s := failing(t)
					s.fail = func(records []kissmetrics.Record) error {
						stored = append(stored, records)
						return map[bool]error{true: errors.New("nobody knows")}[len(stored) < 3]
					}
					for i := range 3 {
						body := `{"type":"` + kind + `","userId":"u","event":"E","traits":{"products":[{"a":1}]},` + messages[min(i, 1)] + `}`
						if path != "/v1/track" {
							body = batch(body)
						}
						r.do(t, path, body)
						time.Sleep(time.Minute + 300*time.Millisecond)
					}
					require.Len(t, stored, 3)
					assert.Equal(t, stored[0], stored[1])
					assert.Equal(t, stored[0], stored[2])
				})
			})
		}
	}
}

// What a sender has begun to store is stored, whether the client waits for it or not.
func TestASenderGoesOnWhenTheClientGivesUp(t *testing.T) {
	for name, message := range map[string]string{"with a time": event("A"), "without": `{"type":"track","messageId":"1","userId":"u","event":"A"}`} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				toToday()
				r := &receiver{}
				var left error
				r.with(t, senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
					time.Sleep(25 * time.Second) // as a file is locked
					left = ctx.Err()
					return r.recorder.Send(ctx, records)
				}))
				ctx, giveUp := context.WithTimeout(t.Context(), time.Second)
				defer giveUp()
				a := r.do(t, "/v1/batch", batch(message), func(r *http.Request) { *r = *r.WithContext(ctx) })
				assert.NoError(t, left)
				assert.Equal(t, `{"success":true}`, a.text)
				assert.Equal(t, `{"success":true}`, r.do(t, "/v1/batch", batch(message)).text)
				assert.Equal(t, []string{"A"}, r.names(), "a repeat is known")
			})
		})
	}
}

func TestASenderIsStoppedInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		r := &receiver{}
		r.with(t, senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error { <-ctx.Done(); return ctx.Err() }))
		began := time.Now()
		assert.Equal(t, http.StatusServiceUnavailable, r.do(t, "/v1/batch", batch(event("A"), event("B"))).status)
		assert.Equal(t, 30*time.Second, time.Since(began))
	})
}

func TestNothingMoreIsBegunOnceTheClientHasLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	r, s := failing(t)
	s.fail = func([]kissmetrics.Record) error { leave(); return nil }
	a := r.do(t, "/v1/batch", batch(event("A"), event("B"), bare("C")), func(r *http.Request) { *r = *r.WithContext(ctx) })
	assert.Equal(t, http.StatusServiceUnavailable, a.status)
	assert.Equal(t, []string{"A"}, r.names())
	assert.Equal(t, []collect.Outcome{collect.Accepted, collect.Deferred, collect.Deferred}, r.outcomes())
}

// A senderFunc is a sender.
type senderFunc func(context.Context, []kissmetrics.Record) error

func (f senderFunc) Send(ctx context.Context, records []kissmetrics.Record) error {
	return f(ctx, records)
}

// TestRepeatAtAnotherInstance repeats a batch at handlers that know nothing of the
// first, as after a restart, in the way that each kind of SDK repeats it.
func TestRepeatAtAnotherInstance(t *testing.T) {
	const minute, hour = time.Minute, time.Hour
	for name, test := range map[string]struct {
		library string
		off     time.Duration // of the device's clock
		resent  bool          // sentAt is written anew at every try
		counted bool          // the SDK says that it is another try
		waits   []time.Duration
	}{
		"a right clock, sentAt of the try":          {library: "analytics-python", resent: true, waits: []time.Duration{time.Second, 9 * minute, 14 * hour}},
		"a clock 40 s fast":                         {library: "analytics-python", off: 40 * time.Second, resent: true, waits: []time.Duration{time.Second, 9 * minute}},
		"a clock 5 h slow, sentAt of the try":       {library: "analytics-python", off: -5 * hour, resent: true, waits: []time.Duration{time.Second, 9 * minute}},
		"a clock 3:20 h fast, sentAt of the try":    {library: "analytics-python", off: 3*hour + 20*minute, resent: true, waits: []time.Duration{time.Second, 9 * minute}},
		"a clock 17 minutes fast":                   {library: "analytics.js", off: 17 * minute, resent: true, waits: []time.Duration{time.Second, 9 * minute}},
		"a right clock, sentAt of the batch":        {library: "analytics-java", waits: []time.Duration{9*minute + 59*time.Second, 2 * time.Second, 11 * hour, 72 * hour}},
		"the same, and the tries are counted":       {library: "analytics-kotlin", counted: true, waits: []time.Duration{20 * minute, 72 * hour}},
		"a clock 3 h slow, sentAt of the batch":     {library: "analytics-java", off: -3 * hour, waits: []time.Duration{20 * minute, 72 * hour}},
		"a clock 2 h fast, sentAt of the batch":     {library: "analytics-java", off: 2 * hour, waits: []time.Duration{time.Second, 15 * time.Second, 6 * minute}},
		"an unknown SDK, sentAt of the try":         {library: "?", resent: true, waits: []time.Duration{time.Second, 9 * minute}},
		"an unknown SDK, sentAt of the batch":       {library: "?", waits: []time.Duration{13 * minute}},
		"an unknown SDK that has been offline":      {library: "?", waits: []time.Duration{72 * hour, 20 * minute}},
		"an unknown SDK, and the tries are counted": {library: "?", counted: true, waits: []time.Duration{2 * hour, 20 * minute}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				toToday()
				const transit = 180 * time.Millisecond
				device := func() time.Time { return time.Now().Add(test.off) }
				messages := ""
				for i, age := range []time.Duration{0, time.Second, 40 * time.Minute} {
					messages += fmt.Sprintf(`,{"type":"track","messageId":"m%d","userId":"u","event":"E%d","timestamp":%s}`, i, i, stamp(device().Add(-age)))
				}
				sent := device()
				var got []string
				for i, wait := range append([]time.Duration{0}, test.waits...) {
					time.Sleep(wait)
					if test.resent {
						sent = device()
					}
					time.Sleep(transit)
					r := newReceiver(t)
					body := `{"context":{"library":{"name":"` + test.library + `"}},"sentAt":` + stamp(sent) + `,"batch":[` + messages[1:] + `]}`
					require.Equal(t, `{"success":true}`, r.do(t, "/v1/batch", body, func(r *http.Request) {
						if test.counted && i > 0 {
							r.Header.Set("X-Retry-Count", fmt.Sprint(i))
						}
					}).text)
					var all []string
					for _, record := range r.recorder.Records() {
						all = append(all, record.Values().Encode())
					}
					got = append(got, strings.Join(all, "\n"))
				}
				for _, other := range got[1:] {
					assert.Equal(t, got[0], other, "the same bytes, so that it counts once")
				}
			})
		})
	}
}
