package sdktest

import (
	"context"
	"fmt"

	"github.com/segmentio/analytics-go/v3"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// A program that tracks with Segment's Go client, and now sends to Kissmetrics from
// its own process: only the Transport is new.
func Example() {
	var kept kissmetricstest.Recorder // in a service a kissmetrics.HTTPSender
	queue, err := kissmetrics.NewQueue(&kept)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := collect.NewHandler(queue, collect.WithWriteKeys("write-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := analytics.NewWithConfig("write-key", analytics.Config{Transport: handler, BatchSize: 2})
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, event := range []string{"Signed Up", "Order Completed"} {
		if err := client.Enqueue(analytics.Track{UserId: "ada", Event: event}); err != nil {
			fmt.Println(err)
		}
	}

	// First the client, which sends what it still has, then what it sends to.
	fmt.Println(client.Close(), queue.Close(context.Background()))
	for _, record := range kept.Records() {
		fmt.Println(record.Person, record.Name)
	}
	// Unordered output:
	// <nil> <nil>
	// ada Signed Up
	// ada Order Completed
}
