// Relay receives what the SDKs of RudderStack and Segment send, and delivers it
// to Kissmetrics. Messages are accepted at once and wait in a queue; what is not
// delivered when it stops is saved as lines of JSON, and taken up when it starts
// again.
//
// With no configuration it needs neither an account nor a network, for it brings
// a tracking server of its own. It says how to send it something, and where its page
// is:
//
//	go run ./examples/relay
//
// The page shows the rate of each source, what became of its messages, and why the last
// ones were refused or adjusted; it never shows what they say.
//
// The environment configures it:
//
//	KISSMETRICS_API_KEY     deliver to Kissmetrics, with this API key
//	KISSMETRICS_BASE_URL    deliver to another server
//	RELAY_WRITE_KEYS        the keys that SDKs may use, separated by commas
//	RELAY_SOURCES           sources to be told apart, each with a key: "shop=key1,blog=key2"; with an API key, this or the keys are required
//	RELAY_ADDRESS           where to listen (":8080"; with no API key a free port of this machine)
//	RELAY_PUBLIC_URL        where the world finds this, such as "https://collect.shop.example"; then SDKs get their configuration here, too
//	RELAY_ORIGINS           pages whose browsers may send, separated by commas; "*" for all
//	RELAY_PREFIX            if not empty, names of properties begin with that of their event, which keeps apart what browsers send in one second
//	RELAY_SHORT_PATHS       if not empty, /b, /t and the like are taken without /v1
//	RELAY_PASSWORD          who knows it sees the page, as any user; with an API key there is no page otherwise
//	RELAY_UNDELIVERED       the file for what is not delivered ("relay-undelivered.jsonl"; with no API key none)
//	RELAY_SHUTDOWN_TIMEOUT  how long to go on delivering when stopped ("20s")
//
// GET /healthz tells whether it runs, GET /metrics what it does, for Prometheus, and
// GET / is the page. All other requests are for the handler of package collect.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, os.Stdout, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

// run is the program, less the process around it.
func run(ctx context.Context, getenv func(string) string, stdout io.Writer, logger *slog.Logger) error {
	c, err := configure(getenv)
	if err != nil {
		return err
	}
	if c.apiKey == "" {
		server := kissmetricstest.Start()
		defer server.Close()
		c.apiKey, c.baseURL = strings.Repeat("0", 40), server.URL
	}
	delivery, err := kissmetrics.NewHTTPSender(
		kissmetrics.WithAPIKey(c.apiKey), kissmetrics.WithBaseURL(c.baseURL), kissmetrics.WithLogger(logger))
	if err != nil {
		return fmt.Errorf("making a sender: %w", err)
	}
	defer delivery.CloseIdleConnections()
	store, err := openStore(ctx, delivery, c, logger)
	if err != nil {
		return err
	}
	serving := serve(ctx, c, store, stdout, logger)
	// Nothing is accepted any more; what was accepted is delivered, or saved.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.shutdownTimeout)
	defer cancel()
	return errors.Join(serving, store.Close(closing))
}

// serve answers requests until ctx ends, and those under way then.
func serve(ctx context.Context, c config, store *store, stdout io.Writer, logger *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if c.demo && c.publicURL == "" {
		c.publicURL = "http://" + listener.Addr().String()
	}
	site, err := newSite(c, store, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:           site,
		ReadHeaderTimeout: 10 * time.Second, // the handler bounds the body itself
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	if _, err := io.WriteString(stdout, intro(c, listener.Addr())); err != nil {
		return errors.Join(fmt.Errorf("writing the output: %w", err), listener.Close())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	logger.Info("stopping", "waiting", store.Stats().Waiting)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.shutdownTimeout)
	defer cancel()
	if err = server.Shutdown(stopping); err != nil {
		err = errors.Join(fmt.Errorf("requests under way were cut off: %w", err), server.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serving: %w", ended))
	}
	return err
}

// health answers whether requests are accepted. That deliveries fail for a while
// is no reason to restart this: they wait.
func health(w http.ResponseWriter, stats kissmetrics.Stats) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	state := "deliveries succeed"
	if stats.Outage {
		state = "deliveries fail and are tried again"
	}
	_, _ = fmt.Fprintf(w, "ok\n%d records wait; %s\n", stats.Waiting, state)
}

// intro says what to do next.
func intro(c config, address net.Addr) string {
	if !c.demo {
		return fmt.Sprintf("relay: listening on %s\n", address)
	}
	keys := c.writeKeys
	if len(keys) == 0 {
		keys = c.sources[0].WriteKeys
	}
	key := keys[0]
	return fmt.Sprintf(`relay: listening on %[1]s, with a tracking server of its own. Send it something:

  curl -u %[2]s: http://%[1]s/v1/track -d '{"userId":"ada","event":"Signed Up","properties":{"plan":"pro"}}'

and see what became of it on http://%[1]s/ or with

  curl http://%[1]s/metrics

To an SDK, http://%[1]s is the data plane URL and the configUrl (RudderStack) or the host and the
cdnURL (Segment), and %[2]s the write key. Pages of browsers need RELAY_ORIGINS. Ctrl-C ends it.
`, address, key)
}
