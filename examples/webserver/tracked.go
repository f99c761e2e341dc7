package main

import (
	"log/slog"
	"net/http"
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
			Event:       eventOf(r),
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

// eventOf names the event after the route, not the path: there are as many names
// as routes. Kissmetrics takes two events of one name, person and second for
// one, so the name should tell apart what a visitor does at once.
func eventOf(r *http.Request) string {
	if r.Pattern == "" {
		return "Requested What Is Not There"
	}
	return "Requested " + r.Pattern
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
