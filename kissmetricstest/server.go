// Package kissmetricstest helps to test code that sends to Kissmetrics: a
// tracking server ([NewServer]) that behaves as Kissmetrics' own is documented
// to, functions that fail a test unless the server knows what it should
// ([RequireEvent] and others), and a [Recorder] that keeps records where no
// server is wanted.
//
// A test of a function that tracks a sign-up:
//
//	func TestSignUpIsTracked(t *testing.T) {
//		server := kissmetricstest.NewServer(t)
//		client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
//		require.NoError(t, err)
//
//		SignUp(client, "user-1")
//
//		kissmetricstest.RequireEvent(t, server, "user-1", "Signed Up", kissmetrics.Text("Plan", "Pro"))
//		kissmetricstest.RequireClean(t, server)
//	}
//
// The last line is worth having in every such test. It fails when something was
// sent that Kissmetrics would have dropped without a word, or that it may have
// understood in another way than it was meant.
package kissmetricstest

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Server is a tracking server on a loopback address, for tests and for trying
// things out. It answers every request to /e, /s and /a with 200 and a picture,
// as Kissmetrics does, however wrong the request is. Afterwards it tells what it made
// of the requests. Any other path is answered with 404, because nothing that is sent
// there can ever arrive.
//
// It follows what is documented of Kissmetrics:
//
//   - An event is ignored if one with the same person, name, second and
//     properties was seen, values included. A property is ignored if it has
//     been seen with the same person, second and value.
//     [WithOldDuplicateRule] has an older rule.
//   - Names are compared without regard to case, with commas and colons read as
//     spaces. Values are compared exactly.
//   - Identities are compared without regard to case too. This is not
//     documented, but seen in every export; [WithCaseSensitiveIdentities] ends it.
//   - _t is believed only with _d=1; without it, the time of the receipt counts.
//     Nothing from before 2009 is kept.
//   - Two aliased identities are one person from then on, with the events and
//     properties of both.
//   - Names that begin with one underscore, such as _ip, are parameters of the
//     protocol and no properties. They are neither kept nor reported as lost.
//
// [Server.Ignored] tells what was dropped. [Server.Warnings] tells what was kept
// although Kissmetrics may not take it as it was meant.
//
// All methods are safe for concurrent use.
//
// See https://support.kissmetrics.io/reference/api-specifications-1,
// https://support.kissmetrics.io/docs/technical-notes-on-events-and-properties
// and https://support.kissmetrics.io/docs/detecting-duplicates.
type Server struct {
	// URL is the base URL, for kissmetrics.WithBaseURL.
	URL string

	http     *http.Server
	serving  sync.WaitGroup // the goroutine that accepts connections
	handlers sync.WaitGroup // requests under way; added to with mu held
	closed   chan struct{}

	mu          sync.Mutex
	people      people
	requests    []received
	header      http.Header // of the latest request
	ignored     []told
	warnings    []told
	connections int
	faults      []Fault
	decide      func(*http.Request) *Fault
}

// Cleaner is what [NewServer] needs of a test. Every *testing.T is one.
type Cleaner interface {
	Helper()
	// Cleanup calls f when the test has ended.
	Cleanup(f func())
}

// NewServer starts a server that is closed when the test ends.
func NewServer(t Cleaner, options ...Option) *Server {
	t.Helper()
	s := Start(options...)
	t.Cleanup(s.Close)
	return s
}

// Start starts a server for a program that is not a test. Its owner closes it.
// It panics if the machine has no loopback address to listen on.
func Start(options ...Option) *Server {
	var rules rules
	for _, option := range options {
		option.apply(&rules)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic("kissmetricstest: cannot listen on a loopback address: " + err.Error())
	}
	s := &Server{
		URL:    "http://" + listener.Addr().String(),
		closed: make(chan struct{}),
		people: newPeople(rules),
	}
	s.http = &http.Server{ //nolint:gosec // on a loopback address, and slow tests may be slow
		Handler: s,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.connections++
			}
		},
	}
	s.serving.Go(func() { _ = s.http.Serve(listener) }) // always says that it was closed
	return s
}

// Close stops the server. Requests under way are cut off. It returns when none
// is left; calling it again does nothing more.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	_ = s.http.Close()
	s.serving.Wait()
	s.handlers.Wait()
}

// A Request is a request as the server received it.
type Request struct {
	Method string
	Path   string
	// Params are the parameters of the query and of the form.
	Params url.Values
	Header http.Header
}

// Requests returns all requests so far, in the order in which they arrived,
// those that met a [Fault] included.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, len(s.requests))
	for i := range s.requests {
		requests[i] = s.requests[i].request()
	}
	return requests
}

// ServeHTTP answers a request as the server at URL does. It is for tests in which a
// network is not wanted, or another than that of the machine. A connection that is
// to be cut is cut by a panic with [http.ErrAbortHandler] if w cannot be hijacked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		cut(w, CutReset)
		return
	}
	defer s.handlers.Done()
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	}
	unreadable := r.ParseForm()
	place, fault := s.arrive(r)
	if fault.recorded() {
		s.record(place, unreadable) // before the delay, which a client may not sit out
	}
	if !s.wait(r, fault.Delay) {
		cut(w, CutReset) // rather than the 200 that net/http makes of no answer
		return
	}
	switch {
	case fault.Cut != CutNothing:
		cut(w, fault.Cut)
	case fault.Status != 0 && fault.Status != http.StatusOK:
		if fault.RetryAfter != "" {
			w.Header().Set("Retry-After", fault.RetryAfter)
		}
		w.WriteHeader(fault.Status)
	case !isTracking(r.URL.Path):
		http.Error(w, string(ReasonUnknownPath), http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write([]byte(gif))
	}
}

// Connections returns how many TCP connections were opened so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// An Event is something a person did, as Kissmetrics knows it.
type Event struct {
	Name string
	Time time.Time
	// Properties are the properties that came with the event. Under the old
	// rule for duplicates, a property that the person had in that second
	// already has its earlier value here.
	Properties map[string]string
}

// Events returns what a person did, under any of its identities, by time, and
// by arrival within a second.
func (s *Server) Events(person string) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.events(person)
}

// A Value is what a property was as of a time.
type Value struct {
	Time  time.Time
	Value string
}

// History returns all values that a property of a person has had, by time, and
// by arrival within a second.
func (s *Server) History(person, property string) []Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.history(person, property)
}

// Properties returns the latest value of every property of a person, those of
// its events included. Of several values in the latest second it returns the one
// that arrived last; which one Kissmetrics shows is not documented. Names are
// spelled as they were first seen.
func (s *Server) Properties(person string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.properties(person)
}

// Identities returns all identities of a person, the given one included,
// sorted, and spelled as they were first seen. There are none for a person of
// whom neither an event nor a property nor an alias is known, whom Kissmetrics
// does not show either.
func (s *Server) Identities(person string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.identities(person)
}

// gif is a transparent picture of one pixel.
const gif = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" +
	"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// maxBodyBytes bounds the body of a request.
const maxBodyBytes = 4 << 20

// begin reports whether the server still takes requests, and makes Close wait
// for the one that asks.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return false
	default:
		s.handlers.Add(1)
		return true
	}
}
