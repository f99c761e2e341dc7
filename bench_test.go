package kissmetrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// orderParams is what orderEvent becomes, as plain text.
func orderParams(b *testing.B) map[string]string {
	b.Helper()
	records, err := kissmetrics.Transform(orderEvent(), kissmetrics.TransformOptions{})
	if err != nil {
		b.Fatal(err)
	}
	params := map[string]string{"_k": "test-api-key"}
	for name := range records[0].Values() {
		params[name] = records[0].Values().Get(name)
	}
	return params
}

// BenchmarkOrderEvent turns an order of 13 properties into its query string:
// "message" from the message on, and "url.Values" by net/url alone from texts
// that are ready.
func BenchmarkOrderEvent(b *testing.B) {
	b.Run("message", func(b *testing.B) {
		var message kissmetrics.Message = orderEvent()
		b.ReportAllocs()
		for b.Loop() {
			records, err := kissmetrics.Transform(message, kissmetrics.TransformOptions{})
			if err != nil {
				b.Fatal(err)
			}
			_ = records[0].Query("test-api-key")
		}
	})
	b.Run("plain map", func(b *testing.B) {
		message := orderEvent()
		b.ReportAllocs()
		for b.Loop() {
			params := map[string]string{
				"_k": "test-api-key",
				"_p": message.UserID,
				"_n": message.Event,
				"_t": strconv.FormatInt(message.Timestamp.Unix(), 10),
				"_d": "1",
			}
			for name, value := range message.Properties {
				params[name] = fmt.Sprint(value)
			}
			params["Billing Amount"] = params["revenue"]
			values := url.Values{}
			for name, value := range params {
				values.Set(name, value)
			}
			_ = values.Encode()
		}
	})
	b.Run("url.Values", func(b *testing.B) {
		params := orderParams(b)
		b.ReportAllocs()
		for b.Loop() {
			values := url.Values{}
			for name, value := range params {
				values.Set(name, value)
			}
			_ = values.Encode()
		}
	})
}

// BenchmarkSequentialTrack sends events one after another to a server on
// loopback: "Client.Track", and "http.Client" with a URL that is ready.
func BenchmarkSequentialTrack(b *testing.B) {
	picture := []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write(picture)
	}))
	defer server.Close()
	b.Run("Client.Track", func(b *testing.B) {
		client, err := kissmetrics.New(kissmetrics.WithAPIKey("test-api-key"), kissmetrics.WithBaseURL(server.URL))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = client.Close(context.Background()) }()
		message := orderEvent()
		b.ReportAllocs()
		for b.Loop() {
			if err := client.Track(b.Context(), message); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("http.Client", func(b *testing.B) {
		values := url.Values{}
		for name, value := range orderParams(b) {
			values.Set(name, value)
		}
		prepared := server.URL + "/e?" + values.Encode()
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
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
	})
}
