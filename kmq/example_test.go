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

	commands, _, err := kmq.Commands(kissmetrics.Page{
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
	// <script nonce="cm9zZWJ1ZA==" async src="https://i.kissmetrics.io/i.js"></script>
	// <script nonce="cm9zZWJ1ZA==" async src="https://scripts.kissmetrics.io/your-api-key.2.js"></script>
}

// An order becomes one "record", and a "set" for each of its products.
func ExampleCommands() {
	commands, _, err := kmq.Commands(kissmetrics.Track{
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

// The policy of a page that has nothing but Kissmetrics' scripts and its own.
func ExampleSnippet() {
	const nonce = "cm9zZWJ1ZA==" // another one for each response
	policy := "default-src 'self'; script-src 'nonce-" + nonce + "' 'strict-dynamic'; " +
		"img-src 'self' " + kmq.Hosts + "; connect-src 'self' " + kmq.Hosts
	snippet, err := kmq.Snippet(kmq.SnippetOptions{APIKey: "your-api-key", Nonce: nonce})
	if err != nil {
		fmt.Println(err)
		return
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = fmt.Fprint(w, "<!DOCTYPE html>\n<title>Prices</title>\n", snippet)
	})
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(strings.ReplaceAll(w.Header().Get("Content-Security-Policy"), "; ", "\n"))
	// Output:
	// default-src 'self'
	// script-src 'nonce-cm9zZWJ1ZA==' 'strict-dynamic'
	// img-src 'self' https://*.kissmetrics.io https://*.kissmetrics.com
	// connect-src 'self' https://*.kissmetrics.io https://*.kissmetrics.com
}

// What happens on the page without a new one: a link to another site is
// followed, and a form is sent.
func ExampleCommand() {
	script, err := kmq.Script("",
		kmq.Command{Kind: kmq.KindTrackClickOnOutboundLink, Element: ".partner", Event: "Visited Partner"},
		kmq.Command{Kind: kmq.KindTrackSubmit, Element: "search", Event: "Searched"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(script)
	// Output:
	// <script>var _kmq=_kmq||[];
	// _kmq.push(["trackClickOnOutboundLink",".partner","Visited Partner"]);
	// _kmq.push(["trackSubmit","search","Searched"]);
	// </script>
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
// to that of the user: one person in the end. Another visitor signs up in a
// browser that Bob has used: two people, who stay two.
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
	mux.HandleFunc("POST /signup", func(_ http.ResponseWriter, r *http.Request) {
		userID := r.FormValue("user") // in earnest, from the program's own database
		// An alias is for good. There is none of a visitor who is a user already.
		if alias, ok := kmq.FromContext(r.Context()).Alias(userID); ok {
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
	signUp := func(user, cookies string) {
		request := httptest.NewRequest(http.MethodPost, "/signup?user="+user, nil)
		request.Header.Set("Cookie", cookies)
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}

	// Each browser has loaded a page, and the script in it has recorded that, for
	// the identity that it keeps in a cookie.
	for _, page := range []kissmetrics.Page{
		{AnonymousID: "k7n+w/x=", Name: "Prices", Timestamp: noon},
		{UserID: "bob", Name: "Prices", Timestamp: noon},
	} {
		if err := client.Page(context.Background(), page); err != nil {
			fmt.Println(err)
		}
	}
	signUp("ada", "km_ai=k7n%2Bw%2Fx%3D")
	signUp("carol", "km_ai=bob; km_ni=bob") // as the script leaves them once it has identified Bob twice

	for _, user := range []string{"ada", "bob", "carol"} {
		fmt.Printf("%s is %s\n", user, strings.Join(server.Identities(user), ", "))
	}
	for _, event := range server.Events("ada") {
		fmt.Println("ada:", event.Name)
	}
	// Output:
	// ada is ada, k7n+w/x=
	// bob is bob
	// carol is carol
	// ada: Viewed Prices page
	// ada: Signed Up
}

// The picture at the end of an e-mail.
func ExampleBeacon() {
	opened := kissmetrics.NewEvent("user-1", "Viewed E-mail", time.Time{}, kissmetrics.Text("Campaign", "spring"))
	picture, err := kmq.Beacon(opened, kissmetrics.WithAPIKey("your-api-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(picture)
	// Output:
	// <img src="https://trk.kissmetrics.io/e?Campaign=spring&amp;_k=your-api-key&amp;_n=Viewed%20E-mail&amp;_p=user-1" alt="" width="1" height="1">
}
