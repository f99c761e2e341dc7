package kissmetrics_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// A day is 24 hours of a server, and what became of the events of them.
type day struct {
	t     *testing.T
	begin time.Time

	mu       sync.Mutex
	tracked  []int64        // the second of each event
	outcomes map[string]int // how many each event has had
	arrived  map[string]bool
	lost     int       // records that were told as lost
	requests int       // in the long outage
	second   time.Time // the quota's,
	taken    int       // and what of it is used
	refused  int
}

// hour returns how many hours of the day have passed.
func (d *day) hour() float64 { return time.Since(d.begin).Hours() }

// events returns how many events happen in a minute: fewest at four at night.
func events(hour int) int {
	return []int{4, 3, 2, 1, 1, 2, 4, 8, 12, 14, 16, 18, 20, 18, 16, 15, 14, 14, 16, 18, 16, 12, 8, 6}[hour]
}

// Do implements [kissmetrics.Doer].
func (d *day) Do(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(80 * time.Millisecond):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	query, hour := r.URL.Query(), d.hour()
	status, header := http.StatusOK, http.Header{}
	switch {
	case hour >= 3 && hour < 3.5, hour >= 23.9: // nobody answers
		return nil, errors.New("connection refused")
	case hour >= 14 && hour < 16: // it is down
		d.requests++
		status = http.StatusServiceUnavailable
	case query.Get("_n") == "Poison": // something on the way dislikes it
		status = http.StatusForbidden
	case hour >= 11 && hour < 13 && !d.inQuota():
		d.refused++
		status = http.StatusTooManyRequests
		header.Set("Retry-After", "2")
	}
	if status == http.StatusOK {
		id := query.Get("id")
		if i, err := strconv.Atoi(id); assert.NoError(d.t, err) {
			assert.Equal(d.t, strconv.FormatInt(d.tracked[i], 10), query.Get("_t"), "the second in which it was tracked")
		}
		d.arrived[id] = true
		if len(d.arrived)%500 == 0 { // the answer is lost
			return nil, errors.New("connection reset by peer")
		}
	}
	return &http.Response{StatusCode: status, Header: header, Body: http.NoBody}, nil
}

// inQuota reports whether a request is among the first five of its second.
func (d *day) inQuota() bool {
	if now := time.Now().Truncate(time.Second); !now.Equal(d.second) {
		d.second, d.taken = now, 0
	}
	d.taken++
	return d.taken <= 5
}

// result implements [kissmetrics.WithOnResult].
func (d *day) result(_ context.Context, r kissmetrics.Record, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := r.Properties[0].Value
	d.outcomes[id]++
	if err != nil {
		d.lost++
	} else {
		assert.True(d.t, d.arrived[id], "event %s", id)
	}
}

// track tracks an event at the time that it is.
func (d *day) track(client *kissmetrics.Client, name string) {
	d.mu.Lock()
	id := len(d.tracked)
	d.tracked = append(d.tracked, time.Now().Unix())
	d.mu.Unlock()
	require.NoError(d.t, client.Track(d.t.Context(), kissmetrics.Track{
		UserID: "user-" + strconv.Itoa(id%1000), Event: name, Properties: kissmetrics.Properties{"id": id},
	}))
}

// memory returns what of the heap is in use.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// A queue lives through a day in which traffic follows the hour, the server is away
// twice, has a quota for two hours, loses answers, and never takes one of the
// events; and is closed while the server is away for a third time. Every event has
// one outcome, none arrives with another second, and nothing grows.
func TestADayOfAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))) // a bubble's time begins in 2000
		d := &day{t: t, begin: time.Now(), outcomes: make(map[string]int), arrived: make(map[string]bool)}
		client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithDoer(d),
			kissmetrics.WithQueue(kissmetrics.WithOnResult(d.result)))
		require.NoError(t, err)
		idle := 0 // goroutines of an idle queue, at most
		var early uint64
		for minute := range 24 * 60 {
			hour := minute / 60
			if minute == 10 {
				d.track(client, "Poison")
			}
			for range events(hour) {
				d.track(client, "Viewed")
				<-time.After(120 * time.Millisecond)
			}
			<-time.After(time.Until(d.begin.Add(time.Duration(minute+1) * time.Minute)))
			if minute%60 != 59 || hour == 3 || hour == 14 || hour == 15 || hour == 23 {
				continue
			}
			stats := client.Stats() // the poisoned one waits, and perhaps one whose answer was lost
			assert.InDelta(t, 2, stats.Waiting, 1, "after hour %d", hour)
			assert.Less(t, stats.WaitingBytes, int64(400))
			if idle == 0 {
				idle, early = runtime.NumGoroutine()+8, memory()
			}
			assert.Less(t, runtime.NumGoroutine(), idle, "after hour %d", hour)
		}
		assert.Less(t, memory(), early+(8<<20), "of which the test's own notes are the most")
		d.track(client, "Left")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err = client.Close(ctx)

		undelivered, ok := errors.AsType[*kissmetrics.UndeliveredError](err)
		require.True(t, ok, "%v", err)
		stats := client.Stats()
		assert.EqualValues(t, len(d.tracked), stats.Accepted)
		assert.EqualValues(t, stats.Accepted, stats.Delivered+stats.Failed+stats.Dropped)
		assert.Zero(t, stats.Waiting)
		assert.EqualValues(t, len(undelivered.Records), stats.Dropped)
		assert.EqualValues(t, d.lost, stats.Failed+stats.Dropped)
		assert.Len(t, d.outcomes, len(d.tracked), "each has its outcome")
		for id, n := range d.outcomes {
			assert.Equal(t, 1, n, "event %s", id)
		}
		for _, r := range undelivered.Records {
			id, err := strconv.Atoi(r.Properties[0].Value)
			require.NoError(t, err)
			assert.Equal(t, d.tracked[id], r.Time.Unix())
		}
		assert.Less(t, d.requests, 600, "in two hours of outage")
		assert.Positive(t, d.refused)
		t.Logf("%d events, %d delivered, %d handed back; %d requests in two hours of outage, %d refused by the quota",
			stats.Accepted, stats.Delivered, stats.Dropped, d.requests, d.refused)
	})
}
