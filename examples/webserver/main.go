// Webserver is an HTTP service that tracks every request it serves, and loses none
// of that when it shuts down. Middleware tracks through a queue. A signal ends the
// server first, then the queue. What the queue could not deliver in time is saved
// as import lines, which the next start sends.
//
// You need neither an account nor a network, because this program starts a
// tracking server of its own:
//
//	go run ./examples/webserver
//
// Open a page or two at the address that it prints, then press Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "webserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("webserver", flag.ContinueOnError)
	flags.SetOutput(stdout)
	address := flags.String("listen", "127.0.0.1:0", "where to listen")
	apiKey := flags.String("api-key", "", "send to Kissmetrics with this key (default: to a server inside this program)")
	baseURL := flags.String("base-url", kissmetrics.DefaultBaseURL, "with -api-key, the URL of the tracking server")
	undelivered := flags.String("undelivered", "undelivered.jsonl", "where to save what could not be delivered")
	grace := flags.Duration("grace", 10*time.Second, "how long to go on delivering after the signal")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	if *apiKey == "" {
		tracking := kissmetricstest.Start()
		defer tracking.Close()
		defer func() {
			_, _ = fmt.Fprintf(stdout, "the tracking server inside received %d requests\n", len(tracking.Requests()))
		}()
		*apiKey, *baseURL = "demo", tracking.URL
	}
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(*apiKey), kissmetrics.WithBaseURL(*baseURL))
	if err != nil {
		return err
	}
	// NewQueue rather than WithQueue, because saved records go through it as well.
	queue, err := kissmetrics.NewQueue(sender, kissmetrics.WithLogger(slog.New(slog.NewTextHandler(stdout, nil))))
	if err != nil {
		return err
	}
	client, err := kissmetrics.New(kissmetrics.WithSender(queue))
	if err != nil {
		return err
	}
	store := store{*undelivered}
	if err := store.send(ctx, queue, stdout); err != nil {
		return errors.Join(err, queue.Close(ctx)) // and leave the file as it is
	}
	err = serve(ctx, *address, handler(client), stdout)
	// The handlers have ended, so nothing more is tracked, and the queue can be
	// closed. It gets a context of its own, since ctx has ended.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), *grace)
	defer cancel()
	return errors.Join(err, store.keep(queue.Close(closing), stdout))
}

// serve serves until ctx ends, and then answers the requests in flight.
func serve(ctx context.Context, address string, handler http.Handler, stdout io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	_, _ = fmt.Fprintf(stdout, "serving http://%s/ until Ctrl-C\n", listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = server.Shutdown(closing)
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// handler is the site.
func handler(client *kissmetrics.Client) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "Welcome. There is /about, too.")
	})
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "A page about us.")
	})
	return tracked(client, mux)
}
