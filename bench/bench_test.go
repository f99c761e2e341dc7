package bench

import (
	"context"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(rig.ServerVariable); kind != "" {
		rig.Serve(kind)
		return
	}
	goleak.VerifyTestMain(m)
}

// properties are those of every event of this package: eight, of the kinds that
// events have. They are only read.
var properties = map[string]any{
	"plan":     "professional",
	"source":   "newsletter",
	"path":     "/docs/getting-started?utm_source=newsletter",
	"referrer": "https://www.example.com/",
	"seats":    12,
	"price":    49.5,
	"trial":    true,
	"currency": "EUR",
}

const (
	user  = "user-1234567"
	event = "Subscription Started"
)

func track() kissmetrics.Track {
	return kissmetrics.Track{UserID: user, Event: event, Properties: properties}
}

// atOnce answers every request at once.
func atOnce(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody}, nil
}

// newClient returns a client with a queue that waits for room, so that every
// event is accepted in the end.
func newClient(tb testing.TB, doer kissmetrics.Doer, baseURL string, queue ...kissmetrics.QueueOption) *kissmetrics.Client {
	options := []kissmetrics.Option{
		kissmetrics.WithAPIKey("test-api-key"),
		kissmetrics.WithBaseURL(baseURL),
		kissmetrics.WithQueue(append([]kissmetrics.QueueOption{kissmetrics.WithFullPolicy(kissmetrics.FullWait)}, queue...)...),
	}
	if doer != nil {
		options = append(options, kissmetrics.WithDoer(doer))
	}
	client, err := kissmetrics.New(options...)
	require.NoError(tb, err)
	return client
}

// closeDelivered closes a client, and requires that it has delivered all.
func closeDelivered(tb testing.TB, client *kissmetrics.Client, events int) {
	require.NoError(tb, client.Close(context.Background()))
	require.EqualValues(tb, events, client.Stats().Delivered)
}

// A series is what was measured, once a round.
type series map[string][]float64

func (s series) add(name string, value float64) { s[name] = append(s[name], value) }

// report reports the median of each, which an interruption does not move.
func (s series) report(b *testing.B) {
	for name, values := range s {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], name)
	}
	b.ReportMetric(0, "ns/op") // of a round, which says nothing
}
