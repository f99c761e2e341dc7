package kissmetricstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// SignUp is a function to be tested: it tracks what it does.
func SignUp(ctx context.Context, client *kissmetrics.Client, userID, plan string) error {
	return client.Track(ctx, kissmetrics.Track{
		UserID:     userID,
		Event:      "Signed Up",
		Properties: kissmetrics.Properties{"Plan": plan},
	})
}

// A function that tracks a sign-up is tested by what Kissmetrics would know
// afterwards. In a test, NewServer(t) takes the place of Start and Close.
func Example() {
	server := kissmetricstest.Start()
	defer server.Close()
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		fmt.Println(err)
		return
	}

	if err := SignUp(context.Background(), client, "user-1", "Pro"); err != nil {
		fmt.Println(err)
	}

	for _, event := range server.Events("user-1") {
		fmt.Println(event.Name, event.Properties)
	}
	fmt.Println("dropped:", len(server.Ignored()))
	// Output:
	// Signed Up map[Plan:Pro]
	// dropped: 0
}

// Under the old rule for duplicates, the second event of one second is lost, and its
// new property is not. A test finds that out.
func ExampleServer_Ignored() {
	server := kissmetricstest.Start(kissmetricstest.WithOldDuplicateRule())
	defer server.Close()
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

	err = sender.Send(context.Background(), []kissmetrics.Record{
		kissmetrics.NewEvent("user-1", "Added to Cart", at, kissmetrics.Text("sku", "MUG")),
		kissmetrics.NewEvent("user-1", "Added to Cart", at, kissmetrics.Text("sku", "TEE"), kissmetrics.Number("price", 12)),
	})

	fmt.Println("error:", err)
	for _, event := range server.Events("user-1") {
		fmt.Println(event.Name, event.Properties)
	}
	for _, ignored := range server.Ignored() {
		fmt.Printf("ignored: %q: %s\n", ignored.Property, ignored.Reason)
	}
	// Output:
	// error: <nil>
	// Added to Cart map[price:12 sku:MUG]
	// ignored: "": the event was seen with the same person and second
	// ignored: "sku": the property was seen with the same person and second
}

// The first request is answered with 503, so the client sends it again.
func ExampleServer_Fail() {
	server := kissmetricstest.Start()
	defer server.Close()
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey("key"),
		kissmetrics.WithBaseURL(server.URL),
		kissmetrics.WithBackoff(time.Millisecond, time.Millisecond),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Fail(kissmetricstest.Fault{Status: http.StatusServiceUnavailable})

	err = SignUp(context.Background(), client, "user-1", "Pro")

	fmt.Println("error:", err)
	fmt.Println("requests:", len(server.Requests()))
	fmt.Println("events:", len(server.Events("user-1")))
	// Output:
	// error: <nil>
	// requests: 2
	// events: 1
}

// A Recorder takes the place of the server where no HTTP is wanted.
func ExampleRecorder() {
	var recorder kissmetricstest.Recorder
	client, err := kissmetrics.New(kissmetrics.WithSender(&recorder))
	if err != nil {
		fmt.Println(err)
		return
	}

	if err := SignUp(context.Background(), client, "user-1", "Pro"); err != nil {
		fmt.Println(err)
	}
	for _, record := range recorder.Records() {
		fmt.Println(record.Kind, record.Person, record.Name, record.Properties[0].Value)
	}

	recorder.FailWith(errors.New("out of order"))
	fmt.Println(SignUp(context.Background(), client, "user-2", "Pro"))
	// Output:
	// event user-1 Signed Up Pro
	// out of order
}
