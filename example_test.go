package kissmetrics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

var exampleTime = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

// show sends a message and prints the records that it became.
func show(message kissmetrics.Message, options ...kissmetrics.Option) {
	var recorder kissmetricstest.Recorder
	client, err := kissmetrics.New(append(options, kissmetrics.WithSender(&recorder))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.SendMessage(context.Background(), message); err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range recorder.Records() {
		line, _ := json.Marshal(r)
		fmt.Println(r.Kind.Path(), string(line))
	}
}

func Example() {
	server := kissmetricstest.Start() // in place of Kissmetrics
	defer server.Close()
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("your-API-key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = client.Close(ctx) }()
	err = client.Track(ctx, kissmetrics.Track{
		UserID:     "user-1",
		Event:      "Order Completed",
		Properties: kissmetrics.Properties{"order_id": "o-17", "revenue": 25},
	})
	fmt.Println(err, server.Events("user-1")[0].Name, server.Properties("user-1")["Billing Amount"])
	// Output: <nil> Order Completed 25
}

func ExampleIdentify() {
	show(kissmetrics.Identify{
		UserID:    "user-1",
		Traits:    kissmetrics.Properties{"plan": "pro", "address": map[string]any{"city": "Brussels"}},
		Timestamp: exampleTime,
	})
	// Output: /s {"_p":"user-1","_t":1772443800,"address.city":"Brussels","plan":"pro"}
}

func ExamplePage() {
	show(kissmetrics.Page{AnonymousID: "a-1", Name: "home", Category: "Docs", Timestamp: exampleTime})
	// Output: /e {"_p":"a-1","_t":1772443800,"_n":"Viewed Docs home page"}
}

func ExampleScreen() {
	show(kissmetrics.Screen{UserID: "user-1", Name: "Main", Timestamp: exampleTime})
	// Output: /e {"_p":"user-1","_t":1772443800,"_n":"Viewed Main screen"}
}

func ExampleTrack() {
	show(kissmetrics.Track{
		UserID: "user-1",
		Event:  "Order Completed",
		Properties: kissmetrics.Properties{
			"revenue":  "$25.00",
			"products": []map[string]any{{"sku": "mug"}, {"sku": "pin"}},
		},
		Timestamp: exampleTime,
	})
	// Output:
	// /e {"_p":"user-1","_t":1772443800,"_n":"Order Completed","Billing Amount":25,"revenue":25}
	// /s {"_p":"user-1","_t":1772443801,"sku":"mug"}
	// /s {"_p":"user-1","_t":1772443802,"sku":"pin"}
}

func ExampleGroup() {
	show(kissmetrics.Group{UserID: "user-1", GroupID: "acme", Traits: kissmetrics.Properties{"seats": 5}, Timestamp: exampleTime})
	// Output: /s {"_p":"user-1","_t":1772443800,"Group - id":"acme","Group - seats":5}
}

func ExampleAlias() {
	show(kissmetrics.Alias{UserID: "user-1", PreviousID: "a-1", Timestamp: exampleTime})
	show(kissmetrics.Alias{UserID: "user-1", PreviousID: "anonymous"})
	// Output:
	// /a {"_p":"a-1","_t":1772443800,"_p2":"user-1"}
	// kissmetrics: invalid previousId: is an identity that many people share; an alias would make them one, for good
}

func ExampleWithPrefixProperties() {
	show(kissmetrics.Track{
		UserID: "user-1", Event: "Billed", Properties: kissmetrics.Properties{"label": "x", "revenue": 5}, Timestamp: exampleTime,
	}, kissmetrics.WithPrefixProperties())
	// Output: /e {"_p":"user-1","_t":1772443800,"_n":"Billed","Billed - revenue":5,"Billed-label":"x","Billing Amount":5}
}

func ExampleTransformOptions_aliasOnIdentify() {
	show(kissmetrics.Identify{UserID: "user-1", AnonymousID: "a-1", Timestamp: exampleTime}, kissmetrics.WithTransform(kissmetrics.TransformOptions{AliasOnIdentify: true}))
	// Output:
	// /a {"_p":"a-1","_t":1772443800,"_p2":"user-1"}
	// /s {"_p":"user-1","_t":1772443800}
}

func ExampleTransformOptions_orderTotalAsRevenue() {
	show(kissmetrics.Track{
		UserID: "user-1", Event: "Order Completed", Properties: kissmetrics.Properties{"total": 20}, Timestamp: exampleTime,
	}, kissmetrics.WithTransform(kissmetrics.TransformOptions{OrderTotalAsRevenue: true}))
	// Output: /e {"_p":"user-1","_t":1772443800,"_n":"Order Completed","Billing Amount":20,"revenue":20,"total":20}
}

// A pipeline needs no client: messages come from somewhere, records go
// somewhere.
func ExampleTransform() {
	topic := []string{
		`{"type":"track","userId":"user-1","event":"Signed Up","properties":{"plan":"pro"},"timestamp":"2026-03-02T09:30:00Z"}`,
		`{"type":"track","event":"Signed Up"}`,
	}
	var next kissmetrics.Sender = &kissmetricstest.Recorder{}
	for _, data := range topic {
		message, err := kissmetrics.ParseMessage([]byte(data))
		if err != nil {
			fmt.Println(err)
			continue
		}
		records, _, err := kissmetrics.Transform(message, exampleTime, kissmetrics.TransformOptions{})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(next.Send(context.Background(), records), records[0].Values().Encode())
	}
	// Output:
	// <nil> _d=1&_n=Signed+Up&_p=user-1&_t=1772443800&plan=pro
	// kissmetrics: invalid identity: is missing
}

// A Doer of your own can count, trace, limit or record the requests.
func ExampleWithDoer() {
	counting := kissmetrics.DoerFunc(func(r *http.Request) (*http.Response, error) {
		fmt.Println(r.Method, r.URL.Host, r.URL.Path)
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithDoer(counting))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Page(context.Background(), kissmetrics.Page{UserID: "user-1", Name: "home"}))
	// Output:
	// GET trk.kissmetrics.io /e
	// <nil>
}

// A transport that traces or logs writes down the URL, which holds the API key and the
// values. What hideQuery returns shows it the URL without the query.
func ExampleWithTransport() {
	server := kissmetricstest.Start()
	defer server.Close()
	logging := func(next http.RoundTripper) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			fmt.Println(r.Method, strings.TrimPrefix(r.URL.String(), server.URL))
			return next.RoundTrip(r)
		})
	}
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL),
		kissmetrics.WithTransport(hideQuery(logging, http.DefaultTransport)))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.Page(context.Background(), kissmetrics.Page{UserID: "user-1", Name: "home"})
	fmt.Println(err, server.Events("user-1")[0].Name)
	// Output:
	// GET /e
	// <nil> Viewed home page
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// hideQuery takes the query off each request for what observe returns, such as
// otelhttp.NewTransport, and puts it back for next.
func hideQuery(observe func(http.RoundTripper) http.RoundTripper, next http.RoundTripper) http.RoundTripper {
	type key struct{}
	observed := observe(transport(func(r *http.Request) (*http.Response, error) {
		whole := r.Clone(r.Context())
		whole.URL.RawQuery, _ = r.Context().Value(key{}).(string)
		return next.RoundTrip(whole)
	}))
	return transport(func(r *http.Request) (*http.Response, error) {
		hidden := r.Clone(context.WithValue(r.Context(), key{}, r.URL.RawQuery))
		hidden.URL.RawQuery = ""
		return observed.RoundTrip(hidden)
	})
}

func ExampleDeliveryError() {
	server := kissmetricstest.Start()
	defer server.Close()
	server.Fail(kissmetricstest.Fault{}, kissmetricstest.Fault{Status: http.StatusForbidden})
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.Track(context.Background(), kissmetrics.Track{
		UserID: "user-1", Event: "Order Completed", Properties: kissmetrics.Properties{"products": []map[string]any{{"sku": "mug"}}},
	})
	fmt.Println(err)
	// Output: kissmetrics: delivery refused: 403 Forbidden (1 attempt; 1 of 2 records delivered)
}

func ExampleRecord() {
	r := kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "user-1", Name: "Signed Up", Time: exampleTime,
		Properties: []kissmetrics.Property{{Name: "plan", Value: "pro"}}}
	line, _ := json.Marshal(r)
	fmt.Println(string(line))
	fmt.Println(strings.ReplaceAll(r.Values().Encode(), "&", " "))
	// Output:
	// {"_p":"user-1","_t":1772443800,"_n":"Signed Up","plan":"pro"}
	// _d=1 _n=Signed+Up _p=user-1 _t=1772443800 plan=pro
}

func ExampleImportWriter() {
	client, err := kissmetrics.New(kissmetrics.WithSender(kissmetrics.NewImportWriter(os.Stdout)))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.Track(context.Background(), kissmetrics.Track{
		UserID: "user-1",
		Event:  "Order Completed",
		Properties: kissmetrics.Properties{
			"order_id": "o-17",
			"products": []kissmetrics.Properties{{"sku": "MUG-1"}, {"sku": "TEE-4"}},
		},
		Timestamp: exampleTime,
	})
	fmt.Println(err)
	// Output:
	// {"_p":"user-1","_t":1772443800,"_n":"Order Completed","order_id":"o-17"}
	// {"_p":"user-1","_t":1772443801,"sku":"MUG-1"}
	// {"_p":"user-1","_t":1772443802,"sku":"TEE-4"}
	// <nil>
}

func ExampleReadImport() {
	file := strings.NewReader(`{"_p":"user-1","_t":1772443800,"_n":"Signed Up","plan":"pro"}
{"_p":"user-1","_n":"Signed Up"}
{"_p":"visitor-1","_p2":"user-1","_t":1772443800}
`)
	for record, err := range kissmetrics.ReadImport(file) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(record.Kind, record.Person, record.Name, record.Time.Format(time.RFC3339))
	}
	// Output:
	// event user-1 Signed Up 2026-03-02T09:30:00Z
	// kissmetrics: line 2: invalid timestamp: is missing
	// alias visitor-1 user-1 2026-03-02T09:30:00Z
}

func ExampleParseMessage_warehouse() {
	row := `{"user_id":"user-1","event":"signed_up","event_text":"Signed Up","plan":"pro","context_ip":"192.0.2.1","timestamp":"2026-03-02 09:30:00 UTC"}`
	message, err := kissmetrics.ParseMessage([]byte(row))
	if err != nil {
		fmt.Println(err)
		return
	}
	show(message)
	// Output: /e {"_p":"user-1","_t":1772443800,"_n":"Signed Up","plan":"pro"}
}
