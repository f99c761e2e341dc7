package main

import (
	"cmp"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An ear stands before the tracking server, and notes who told it what. It is
// what makes the two halves visible; a real site has none.
type ear struct {
	tracking  *url.URL
	transport *http.Transport

	mu    sync.Mutex
	heard []saying
}

// Who tells Kissmetrics something.
const (
	byPage   = "page"   // the script in the browser
	byServer = "server" // this program
	byMail   = "e-mail" // the picture in a letter
)

// A saying is something that Kissmetrics was told.
type saying struct {
	By         string
	Path       string // "e", "s" or "a", as in the tracking API
	Person     string
	Name       string // of the event, or the other identity of an alias
	Time       time.Time
	Properties []property
}

type property struct{ Name, Value string }

func newEar(trackingURL string) (*ear, error) {
	u, err := url.Parse(trackingURL)
	if err != nil {
		return nil, err
	}
	return &ear{tracking: u, transport: &http.Transport{}}, nil
}

// close ends the connections to the tracking server.
func (e *ear) close() { e.transport.CloseIdleConnections() }

// handler returns what takes the pictures of a page or a mail to the tracking
// server.
func (e *ear) handler(by string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(e.tracking) },
		Transport: e.roundTripper(by),
	}
}

// roundTripper returns the transport of who tells something, which notes it once
// it has arrived.
func (e *ear) roundTripper(by string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := e.transport.RoundTrip(r)
		if err == nil && response.StatusCode == http.StatusOK {
			e.note(newSaying(by, r.URL, time.Now()))
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newSaying(by string, u *url.URL, now time.Time) saying {
	query := u.Query()
	s := saying{By: by, Path: path.Base(u.Path), Person: query.Get("_p"), Name: query.Get("_n"), Time: now.Truncate(time.Second)}
	if second, err := strconv.ParseInt(query.Get("_t"), 10, 64); err == nil && query.Get("_d") == "1" {
		s.Time = time.Unix(second, 0)
	}
	for name := range query {
		if !strings.HasPrefix(name, "_") {
			s.Properties = append(s.Properties, property{name, query.Get(name)})
		}
	}
	slices.SortFunc(s.Properties, func(a, b property) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// note keeps a saying, unless it is a repeat, which Kissmetrics ignores.
func (e *ear) note(s saying) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.ContainsFunc(e.heard, s.repeats) {
		e.heard = append(e.heard, s)
	}
}

func (s saying) repeats(other saying) bool {
	return s.Path == other.Path && strings.EqualFold(s.Person, other.Person) && s.Name == other.Name &&
		s.Time.Equal(other.Time) && slices.Equal(s.Properties, other.Properties)
}

// of returns what was said of a person with these identities, in the order in
// which it happened.
func (e *ear) of(identities []string) []saying {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := func(identity string) bool {
		return slices.ContainsFunc(identities, func(one string) bool { return strings.EqualFold(one, identity) })
	}
	var said []saying
	for _, s := range e.heard {
		if known(s.Person) || s.Path == "a" && known(s.Name) {
			said = append(said, s)
		}
	}
	slices.SortStableFunc(said, func(a, b saying) int { return a.Time.Compare(b.Time) })
	return said
}
