// Quickstart shows what a few messages become: the calls that a program makes, the
// requests that Kissmetrics receives, and what it knows about the person in the
// end. The person is a visitor who looks at a page, signs up, buys three things and
// returns one.
//
// You need neither an account nor a network, because this program starts a
// tracking server of its own:
//
//	go run ./examples/quickstart
//
// With an API key it sends the same messages to Kissmetrics, dated now. They create
// one person with the identities quickstart-visitor and quickstart-user:
//
//	go run ./examples/quickstart -api-key "$KISSMETRICS_API_KEY"
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// The identities say where they come from. They must not belong to anybody in a
// real product, because an alias cannot be undone.
const (
	visitorID = "quickstart-visitor"
	userID    = "quickstart-user"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(exitCode(err))
	}
}

// exitCode returns 2 if the command line is wrong, and 1 for any other error.
func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok || errors.Is(err, kissmetrics.ErrInvalidOption) {
		return 2
	}
	return 1
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	f, err := parseFlags(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return usageError{err}
	case f.live:
		return live(ctx, f, stdout)
	}
	return demo(ctx, stdout)
}

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// flags is what the command line says.
type flags struct {
	live    bool // whether an API key was given
	apiKey  string
	baseURL string
}

// parseFlags returns what args say. If they ask for help, it writes that to stdout
// and returns flag.ErrHelp.
func parseFlags(args []string, stdout io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	set.SetOutput(io.Discard) // the error says everything
	// A function, so that -api-key "$UNSET" differs from no -api-key.
	set.Func("api-key", "send to Kissmetrics with this API `key` of your product", func(key string) error {
		f.live, f.apiKey = true, key
		return nil
	})
	set.StringVar(&f.baseURL, "base-url", kissmetrics.DefaultBaseURL, "with -api-key, send to this `URL`")
	err := set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		set.SetOutput(stdout)
		set.Usage()
		return f, err
	case err != nil:
		problem, _, _ := strings.Cut(err.Error(), "=") // what follows may be the key
		return f, errors.New(problem + " (-h lists the flags)")
	case set.NArg() > 0: // not quoted, since it may be a key without its flag
		return f, errors.New("expected only flags, but got other arguments (-h lists the flags)")
	case f.baseURL != kissmetrics.DefaultBaseURL && !f.live:
		return f, errors.New("-base-url needs -api-key")
	}
	return f, nil
}

// demo sends to a server of its own, and shows what that knows afterwards.
func demo(ctx context.Context, stdout io.Writer) error {
	server := kissmetricstest.Start()
	defer server.Close()
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey("quickstart"), // the server takes any
		kissmetrics.WithBaseURL(server.URL),
	)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	// The same time in every run gives the same output in every run.
	now := time.Date(2026, time.March, 2, 9, 40, 0, 0, time.UTC)
	told := 0
	became := func(kissmetrics.Message) ([]request, error) {
		arrived := server.Requests()[told:]
		told += len(arrived)
		return fromServer(arrived), nil
	}
	if err := write(stdout, demoIntro+legend); err != nil {
		return err
	}
	if err := tell(ctx, stdout, story(client, now), became); err != nil {
		return errors.Join(err, client.Close(ctx))
	}
	if err := client.Close(ctx); err != nil {
		return fmt.Errorf("closing the client: %w", err)
	}
	return write(stdout, knowledge(server, userID, "sku", "price", "quantity"))
}

// live sends to Kissmetrics. Kissmetrics does not say what it made of a request, so
// live shows the records.
func live(ctx context.Context, f flags, stdout io.Writer) error {
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey(f.apiKey),
		kissmetrics.WithBaseURL(f.baseURL),
	)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	became := func(m kissmetrics.Message) ([]request, error) {
		// No options, since the client has none, and no time, since every message
		// that needs one has it.
		records, _, err := kissmetrics.Transform(m, time.Time{}, kissmetrics.TransformOptions{})
		return fromRecords(records), err
	}
	if err := write(stdout, fmt.Sprintf(liveIntro, f.baseURL)+legend); err != nil {
		return err
	}
	if err := tell(ctx, stdout, story(client, time.Now()), became); err != nil {
		return errors.Join(err, client.Close(ctx))
	}
	if err := client.Close(ctx); err != nil {
		return fmt.Errorf("closing the client: %w", err)
	}
	return write(stdout, fmt.Sprintf(liveOutro, userID))
}

// A step is one call of the client.
type step struct {
	why     string
	message kissmetrics.Message
	send    func(ctx context.Context) error
}

// call returns the step that calls a method of the client with its message.
func call[M kissmetrics.Message](why string, method func(context.Context, M) error, message M) step {
	return step{why, message, func(ctx context.Context) error { return method(ctx, message) }}
}

// story returns what happened in the half hour before now.
func story(client *kissmetrics.Client, now time.Time) []step {
	return []step{
		call("A visitor looks at the prices. Nobody knows yet who it is.",
			client.Page, kissmetrics.Page{
				AnonymousID: visitorID,
				Name:        "Pricing",
				Properties:  kissmetrics.Properties{"path": "/pricing", "referrer": "https://example.com/"},
				Timestamp:   now.Add(-30 * time.Minute),
			}),
		call("The visitor signs up: from here on, the two identities are one person.",
			client.Alias, kissmetrics.Alias{
				UserID:     userID,
				PreviousID: visitorID,
			}),
		call("What the visitor wrote in the sign-up form is stored with the person.",
			client.Identify, kissmetrics.Identify{
				UserID:    userID,
				Traits:    kissmetrics.Properties{"email": "ada@example.com", "newsletter": true, "plan": "free"},
				Timestamp: now.Add(-20 * time.Minute),
			}),
		call("An order of three products. Each becomes a request of its own, one second after the\n"+
			"one before, because Kissmetrics may keep only one value of a property a second.",
			client.Track, kissmetrics.Track{
				UserID: userID,
				Event:  "Order Completed",
				Properties: kissmetrics.Properties{
					"order_id": "order-17",
					"revenue":  25,
					"shipping": kissmetrics.Properties{
						"method":  "express",
						"address": kissmetrics.Properties{"city": "London"},
					},
					"products": []kissmetrics.Properties{
						{"sku": "MUG-1", "price": 6.25, "quantity": 2},
						{"sku": "TEE-4", "price": 7.5, "quantity": 1},
						{"sku": "PIN-9", "price": 5, "quantity": 1},
					},
				},
				Timestamp: now.Add(-10 * time.Minute),
			}),
		call("One of them is returned. A refund is negative revenue.",
			client.Track, kissmetrics.Track{
				UserID:     userID,
				Event:      "Order Refunded",
				Properties: kissmetrics.Properties{"order_id": "order-17", "revenue": -5},
				Timestamp:  now,
			}),
	}
}

// tell takes the steps one by one, and writes each call and what it became.
func tell(ctx context.Context, stdout io.Writer, steps []step, became func(kissmetrics.Message) ([]request, error)) error {
	for i, s := range steps {
		if err := write(stdout, heading(i+1, s.why)+indent(callText(s.message))); err != nil {
			return err
		}
		if err := s.send(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		requests, err := became(s.message)
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		for _, r := range requests {
			if err := write(stdout, "\n"+indent(r.text())); err != nil {
				return err
			}
		}
	}
	return nil
}

func write(stdout io.Writer, text string) error {
	if _, err := io.WriteString(stdout, text); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
