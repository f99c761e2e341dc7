package kissmetrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"net/http"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// With a queue a call returns when the message is accepted, and Close delivers
// what is left.
func ExampleWithQueue() {
	server := kissmetricstest.Start()
	defer server.Close()
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey("key"),
		kissmetrics.WithBaseURL(server.URL),
		kissmetrics.WithQueue(
			kissmetrics.WithWorkers(4),
			kissmetrics.WithCapacity(10_000, 8<<20),
			kissmetrics.WithFullPolicy(kissmetrics.FullWait),
		),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, event := range []string{"Signed Up", "Invited A Friend"} {
		if err := client.Track(context.Background(), kissmetrics.Track{UserID: "user-1", Event: event}); err != nil {
			fmt.Println(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(client.Close(ctx))
	fmt.Println(len(server.Events("user-1")), "events arrived")
	// Output:
	// <nil>
	// 2 events arrived
}

// Every record that a queue accepted gets one outcome.
func ExampleWithOnResult() {
	server := kissmetricstest.Start()
	defer server.Close()
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey("key"),
		kissmetrics.WithBaseURL(server.URL),
		kissmetrics.WithQueue(kissmetrics.WithOnResult(func(_ context.Context, record kissmetrics.Record, err error) {
			fmt.Println(record.Name, "-", err)
		})),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Track(context.Background(), kissmetrics.Track{UserID: "user-1", Event: "Signed Up"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(client.Flush(context.Background()))
	server.Close() // an outage that lasts
	if err := client.Track(context.Background(), kissmetrics.Track{UserID: "user-1", Event: "Invited A Friend"}); err != nil {
		fmt.Println(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(client.Close(ctx))
	// Output:
	// Signed Up - <nil>
	// <nil>
	// Invited A Friend - kissmetrics: closed
	// kissmetrics: closed with 1 records undelivered: context canceled
}

// What could not be delivered in time is handed back, to be stored.
func ExampleUndeliveredError() {
	unreachable := kissmetrics.DoerFunc(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("the network is down")
	})
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithDoer(unreachable), kissmetrics.WithQueue())
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.Track(context.Background(), kissmetrics.Track{UserID: "user-1", Event: "Signed Up", Timestamp: exampleTime})
	if err != nil {
		fmt.Println(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = client.Close(ctx)
	fmt.Println(err)
	if undelivered, ok := errors.AsType[*kissmetrics.UndeliveredError](err); ok {
		for _, record := range undelivered.Records {
			line, _ := json.Marshal(record)
			fmt.Println(string(line))
		}
	}
	// Output:
	// kissmetrics: closed with 1 records undelivered: context deadline exceeded
	// {"_p":"user-1","_t":1772443800,"_n":"Signed Up"}
}

// The counts of a queue as a variable of package expvar, which serves them at
// /debug/vars.
func ExampleClient_Stats() {
	server := kissmetricstest.Start()
	defer server.Close()
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithQueue())
	if err != nil {
		fmt.Println(err)
		return
	}
	expvar.Publish("kissmetrics", expvar.Func(func() any { return client.Stats() }))

	if err := client.Identify(context.Background(), kissmetrics.Identify{UserID: "user-1"}); err != nil {
		fmt.Println(err)
	}
	if err := client.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(expvar.Get("kissmetrics"))
	// Output: {"accepted":1,"delivered":1,"failed":0,"dropped":0,"waiting":0,"waiting_bytes":0,"adjusted":0,"outage":false}
}

// A queue serves a pipeline, too: it is a Sender in front of a Sender.
func ExampleQueue() {
	recorder := &kissmetricstest.Recorder{}
	queue, err := kissmetrics.NewQueue(recorder, kissmetrics.WithWorkers(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	records, _, err := kissmetrics.Transform(
		kissmetrics.Track{UserID: "user-1", Event: "Signed Up", Timestamp: exampleTime}, time.Time{}, kissmetrics.TransformOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(queue.Send(context.Background(), records))
	fmt.Println(queue.Close(context.Background()))
	fmt.Println(recorder.Records())
	// Output:
	// <nil>
	// <nil>
	// [event "Signed Up" with 0 properties]
}
