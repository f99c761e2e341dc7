package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// A site is all that the program serves. It is no [http.ServeMux], for that would
// redirect a path with doubled slashes, and SDKs turn the POST into a GET then.
type site struct {
	collect  http.Handler
	metrics  http.Handler
	page     *page
	stats    func() kissmetrics.Stats
	isOpen   bool   // everybody may see the page
	password string // who knows it may, unless it is empty
}

func newSite(c config, store *store, logger *slog.Logger) (*site, error) {
	metrics, page := newMetrics(store.Stats), newPage(c)
	handler, err := collect.NewHandler(store, append(c.options(),
		collect.WithOnResult(func(_ context.Context, r collect.Result) {
			metrics.count(r)
			page.note(r)
		}),
		collect.WithLogger(logger),
	)...)
	if err != nil {
		return nil, fmt.Errorf("making the handler: %w", err)
	}
	return &site{collect: handler, metrics: metrics.handler(), page: page, stats: store.Stats, isOpen: c.demo, password: c.password}, nil
}

// ServeHTTP implements [http.Handler].
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	isGet := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case isGet && r.URL.Path == "/healthz":
		health(w, s.stats())
	case isGet && r.URL.Path == "/metrics":
		s.metrics.ServeHTTP(w, r)
	case isGet && r.URL.Path == "/" && (s.isOpen || s.password != ""):
		if !s.mayLook(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="relay"`)
			http.Error(w, "the password is missing or wrong", http.StatusUnauthorized)
			return
		}
		s.page.serve(w, s.stats())
	default:
		s.collect.ServeHTTP(w, r)
	}
}

func (s *site) mayLook(r *http.Request) bool {
	if s.password == "" {
		return s.isOpen
	}
	_, given, _ := r.BasicAuth()
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.password))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// sourceName returns the name of a message's source.
func sourceName(r collect.Result) string {
	if r.Source == "" {
		return "default"
	}
	return r.Source
}
