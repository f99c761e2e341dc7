package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// tracked is middleware that records every request as an event of its visitor.
// A queue accepts at once, so no request waits for Kissmetrics.
func tracked(client *kissmetrics.Client, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		watching := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(watching, r)
		err := client.Track(r.Context(), kissmetrics.Track{
			UserID:      r.Header.Get("X-User-Id"), // as the service's authentication has it
			AnonymousID: "webserver-visitor",
			Event:       "Requested A Page",
			Properties: kissmetrics.Properties{
				"path":    r.URL.Path,
				"status":  watching.status,
				"seconds": time.Since(start),
			},
		})
		if err != nil { // the queue is full, or a property is no good: never the visitor's problem
			slog.WarnContext(r.Context(), "a request was not tracked", "error", err)
		}
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// store is the file in which undelivered records wait for the next start.
type store struct{ path string }

// keep saves what an UndeliveredError hands back.
func (s store) keep(err error, stdout io.Writer) error {
	undelivered, ok := errors.AsType[*kissmetrics.UndeliveredError](err)
	if !ok {
		return err
	}
	file, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := json.NewEncoder(file)
	for _, record := range undelivered.Records {
		if err := lines.Encode(record); err != nil {
			return err
		}
	}
	if err := file.Sync(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d records could not be delivered and are in %s\n", undelivered.Count, s.path)
	return file.Close()
}
