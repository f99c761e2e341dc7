package kissmetrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// orderEvent is an order with 13 properties, of the kinds that orders have.
func orderEvent() kissmetrics.Track {
	return kissmetrics.Track{
		UserID: "user-1234567",
		Event:  "Order Completed",
		Properties: kissmetrics.Properties{
			"order_id":       "50314b8e9bcf000000000000",
			"affiliation":    "Google Store",
			"value":          30,
			"revenue":        25.00,
			"shipping":       3.5,
			"tax":            2.25,
			"discount":       2.5,
			"coupon":         "hasbros",
			"currency":       "USD",
			"payment_method": "credit card",
			"item_count":     4,
			"gift":           true,
			"email":          "tintin@herge.com",
		},
		Timestamp: time.Unix(1579847342, 0),
	}
}

// plainMap returns the parameters of an order as a plain client makes them:
// every value printed, and none checked.
func plainMap(m kissmetrics.Track) map[string]string {
	params := map[string]string{
		"_k": "test-api-key",
		"_p": m.UserID,
		"_n": m.Event,
		"_t": strconv.FormatInt(m.Timestamp.Unix(), 10),
		"_d": "1",
	}
	for name, value := range m.Properties {
		params[name] = fmt.Sprint(value)
	}
	params["Billing Amount"] = params["revenue"]
	return params
}

// encode returns the query string of parameters by way of url.Values.
func encode(params map[string]string) string {
	values := url.Values{}
	for name, value := range params {
		values.Set(name, value)
	}
	return values.Encode()
}

// blocks runs each of several ways to do a thing in turn, a block at a time, so
// that what else the machine does falls on all alike, and returns how long a
// block of each took: the median, which an interruption does not move.
func blocks(b *testing.B, size int, ways ...func()) []time.Duration {
	took := make([][]time.Duration, len(ways))
	for b.Loop() {
		for i, way := range ways {
			start := time.Now()
			for range size {
				way()
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	medians := make([]time.Duration, len(ways))
	for i := range took {
		slices.Sort(took[i])
		medians[i] = took[i][len(took[i])/2]
	}
	return medians
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// BenchmarkOrderEvent turns an order of 13 properties into its query string:
// "message" does it as the client does, "plain map" by printing each value into
// a map of texts and that into url.Values, and "url.Values" from such a map that
// is there already. "side by side" says how many times as long as the first the
// others take.
func BenchmarkOrderEvent(b *testing.B) {
	var message kissmetrics.Message = orderEvent()
	order, params := orderEvent(), plainMap(orderEvent())
	ours := func() {
		records, _, err := kissmetrics.Transform(message, time.Time{}, kissmetrics.TransformOptions{})
		if err != nil {
			b.Fatal(err)
		}
		_ = records[0].Query("test-api-key")
	}
	plain := func() { _ = encode(plainMap(order)) }
	values := func() { _ = encode(params) }
	for _, way := range []struct {
		name string
		run  func()
	}{{"message", ours}, {"plain map", plain}, {"url.Values", values}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				way.run()
			}
		})
	}
	b.Run("side by side", func(b *testing.B) {
		took := blocks(b, 1000, ours, plain, values)
		b.ReportMetric(ratio(took[1], took[0]), "plain/message")
		b.ReportMetric(ratio(took[2], took[0]), "values/message")
	})
}

// BenchmarkSequentialTrack sends events one after another to a server on
// loopback: by Client.Track, and by a bare http.Client with a URL that is ready,
// once with the timeout that Track has and once with none. It says how many
// times as long the first takes.
func BenchmarkSequentialTrack(b *testing.B) {
	picture := make([]byte, 43)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write(picture)
	}))
	defer server.Close()
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = client.Close(context.Background()) }()
	message, prepared := orderEvent(), server.URL+"/e?"+encode(plainMap(orderEvent()))
	bare := func(client *http.Client) func() {
		return func() {
			request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, prepared, nil)
			if err != nil {
				b.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}
	track := func() {
		if err := client.Track(b.Context(), message); err != nil {
			b.Fatal(err)
		}
	}
	took := blocks(b, 50, track, bare(&http.Client{Timeout: 10 * time.Second}), bare(&http.Client{}))
	b.ReportMetric(ratio(took[0], took[1]), "Track/bare")
	b.ReportMetric(ratio(took[0], took[2]), "Track/untimed")
}
