package main

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// tracked is middleware that tracks every request as an event of its visitor. The
// queue accepts it at once, so no request waits for Kissmetrics.
func tracked(client *kissmetrics.Client, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		watching := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(watching, r)
		err := client.Track(r.Context(), kissmetrics.Track{
			UserID:      r.Header.Get("X-User-Id"), // from the service's authentication
			AnonymousID: "webserver-visitor",
			Event:       eventOf(r),
			Properties: kissmetrics.Properties{
				"path":    r.URL.Path,
				"status":  watching.status,
				"seconds": time.Since(start),
			},
		})
		if err != nil { // the queue is full, say; this is never the visitor's problem
			slog.WarnContext(r.Context(), "a request was not tracked", "error", err)
		}
	})
}

// eventOf names the event after the route and not the path, because Kissmetrics
// keeps a limited number of event names.
func eventOf(r *http.Request) string {
	if r.Pattern == "" {
		return "Requested What Is Not There"
	}
	return "Requested " + r.Pattern
}

// A statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap serves http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
