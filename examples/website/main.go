// Website is a small shop whose pages tell Kissmetrics who looked at what, and
// whose server tells it who signed up: the two halves of one person. Each page
// shows what it pushed, and what Kissmetrics hears from which half, in the
// moment it does.
//
// It needs neither an account nor a network, for it brings a tracking server of
// its own, and a stand-in for Kissmetrics' script. It prints the address to look
// at:
//
//	go run ./examples/website
//
// With an account, four things change. The client has the API key of your
// product, and neither WithBaseURL nor WithTransport. The snippet has that key,
// and no URLs. The Content-Security-Policy allows kmq.Hosts in img-src and
// connect-src, and 'strict-dynamic' beside the nonce. The beacon has the key
// too, and no WithBaseURL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "website:", err)
		os.Exit(1)
	}
}

// run is the program, less the process around it: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("website", flag.ContinueOnError)
	flags.SetOutput(stdout)
	addr := flags.String("addr", "127.0.0.1:0", "the `address` to listen on; port 0 takes a free one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tracking := kissmetricstest.Start()
	defer tracking.Close()
	ear, err := newEar(tracking.URL)
	if err != nil {
		return err
	}
	defer ear.close()
	client, err := kissmetrics.New(
		kissmetrics.WithAPIKey(apiKey),
		kissmetrics.WithBaseURL(tracking.URL),
		kissmetrics.WithTransport(ear.roundTripper(byServer)),
		kissmetrics.WithQueue(), // so that nobody waits for Kissmetrics
	)
	if err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, client.Close(limit))
	}()
	handler, err := newShop(client, tracking, ear)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "The shop is open: http://%s/\n", listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	return serve(ctx, listener, handler)
}

// serve serves until ctx ends, and then lets the requests under way end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		return errors.Join(err, server.Close())
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
