package kmq_test

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

// A page that records that it was viewed.
func Example() {
	page := template.Must(template.New("").Parse("<h1>Prices</h1>\n{{.Script}}{{.Snippet}}"))
	const nonce = "cm9zZWJ1ZA==" // another one for each response, such as that of crypto/rand's Text

	commands, err := kmq.Commands(kissmetrics.Page{
		Name:       "Prices",
		Properties: kissmetrics.Properties{"currency": "EUR", "plans": 3, "note": "</script>"},
	}, kmq.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	script, err := kmq.Script(nonce, commands...)
	if err != nil {
		fmt.Println(err)
		return
	}
	snippet, err := kmq.Snippet(kmq.SnippetOptions{APIKey: "your-api-key", Nonce: nonce})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = page.Execute(os.Stdout, map[string]any{"Script": script, "Snippet": snippet})
	// Output:
	// <h1>Prices</h1>
	// <script nonce="cm9zZWJ1ZA==">var _kmq=_kmq||[];
	// _kmq.push(["record","Viewed Prices page",{"currency":"EUR","note":"\u003c/script\u003e","plans":3}]);
	// </script>
	// <script nonce="cm9zZWJ1ZA==">var _kmq=_kmq||[],_kmk=_kmk||"your-api-key";</script>
	// <script nonce="cm9zZWJ1ZA==" async src="https://i.kissmetrics.com/i.js"></script>
	// <script nonce="cm9zZWJ1ZA==" async src="https://scripts.kissmetrics.com/your-api-key.2.js"></script>
}

// An order becomes one "record", and a "set" for each of its products.
func ExampleCommands() {
	commands, err := kmq.Commands(kissmetrics.Track{
		Event: "Order Completed",
		Properties: kissmetrics.Properties{
			"revenue":  25,
			"products": []kissmetrics.Properties{{"sku": "MUG-1"}, {"sku": "TEE-4"}},
		},
		Timestamp: time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC), // so that it counts once
	}, kmq.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, command := range commands {
		line, _ := command.MarshalJSON()
		fmt.Println(string(line))
	}
	// Output:
	// ["record","Order Completed",{"Billing Amount":25,"revenue":25,"_t":1772452800,"_d":1}]
	// ["set",{"sku":"MUG-1","_t":1772452801,"_d":1}]
	// ["set",{"sku":"TEE-4","_t":1772452802,"_d":1}]
}

// A user that logs out leaves the browser to somebody new.
func ExampleScript() {
	script, err := kmq.Script("", kmq.Command{Kind: kmq.KindClearIdentity})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(script)
	// Output:
	// <script>var _kmq=_kmq||[];
	// _kmq.push(["clearIdentity"]);
	// </script>
}

// A visitor looks at a page, which the browser tells of, and signs up, which the
// program tells of. Both use the identity in the cookie, and the alias joins it
// to that of the user: one person in the end.
func ExampleIdentity() {
	server := kissmetricstest.Start()
	defer server.Close()
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	noon := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /signup", func(w http.ResponseWriter, r *http.Request) {
		visitor := kmq.FromContext(r.Context())
		const userID = "user-1" // as the program's own database has it
		if visitor.AnonymousID != "" {
			alias := kissmetrics.Alias{UserID: userID, PreviousID: visitor.AnonymousID}
			if err := client.Alias(r.Context(), alias); err != nil {
				fmt.Println(err)
			}
		}
		signedUp := kissmetrics.Track{UserID: userID, Event: "Signed Up", Timestamp: noon.Add(time.Minute)}
		if err := client.Track(r.Context(), signedUp); err != nil {
			fmt.Println(err)
		}
	})
	handler := kmq.Middleware(mux)

	// The browser has loaded a page, and the script in it has recorded that, for
	// the identity that it keeps in a cookie.
	browser := kissmetrics.Page{AnonymousID: "a+b/cQ==", Name: "Prices", Timestamp: noon}
	if err := client.Page(context.Background(), browser); err != nil {
		fmt.Println(err)
	}
	request := httptest.NewRequest(http.MethodPost, "/signup", nil)
	request.Header.Set("Cookie", "km_ai=a%2Bb%2FcQ%3D%3D")
	handler.ServeHTTP(httptest.NewRecorder(), request)

	fmt.Println("one person:", strings.Join(server.Identities("user-1"), ", "))
	for _, event := range server.Events("user-1") {
		fmt.Println(event.Name)
	}
	// Output:
	// one person: a+b/cQ==, user-1
	// Viewed Prices page
	// Signed Up
}

// The picture at the end of an e-mail.
func ExampleBeacon() {
	picture, err := kmq.Beacon(kissmetrics.Record{
		Kind:       kissmetrics.KindEvent,
		Person:     "user-1",
		Name:       "Viewed E-mail",
		Properties: []kissmetrics.Property{{Name: "Campaign", Value: "spring"}},
	}, kissmetrics.WithAPIKey("your-api-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(picture)
	// Output:
	// <img src="https://trk.kissmetrics.io/e?Campaign=spring&amp;_k=your-api-key&amp;_n=Viewed+E-mail&amp;_p=user-1" alt="" width="1" height="1">
}
