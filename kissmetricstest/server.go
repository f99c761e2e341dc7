// Package kissmetricstest helps to test code that sends to Kissmetrics: a
// tracking server ([NewServer]) that behaves as Kissmetrics' own is documented
// to, and a [Recorder] that keeps records where no server is wanted.
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
//		events := server.Events("user-1")
//		require.Len(t, events, 1)
//		assert.Equal(t, "Signed Up", events[0].Name)
//		assert.Empty(t, server.Ignored())
//	}
//
// The last line is worth having in every such test: it fails when something
// was sent that Kissmetrics would have dropped without a word.
package kissmetricstest

import (
	"cmp"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a tracking server on a loopback address, for tests and for trying
// things out. It answers every request with 200 and a picture, as Kissmetrics
// does, however wrong the request is; what it made of it, it tells afterwards.
//
// It follows what is documented of Kissmetrics: an event is ignored if its
// person, name and second are those of one already seen, and a property if its
// person, name and second are, whatever its value; names are compared without
// regard to case, with commas and colons read as spaces; _t is believed only
// with _d=1; nothing from before 2009 is kept; two aliased identities are one
// person from then on, with the events and properties of both.
//
// All methods are safe for concurrent use.
type Server struct {
	// URL is the base URL, for kissmetrics.WithBaseURL.
	URL string

	http   *httptest.Server
	closed chan struct{}

	mu          sync.Mutex
	people      people
	requests    []Request
	ignored     []Ignored
	connections int
	faults      []Fault
	decide      func(*http.Request) *Fault
}

// A Request is a request as the server received it.
type Request struct {
	Method string
	Path   string
	// Params are the parameters of the query and of the form.
	Params url.Values
	Header http.Header
}

// clone returns a request that shares nothing with r.
func (r Request) clone() Request {
	params := http.Header(r.Params).Clone() // maps of the same kind
	return Request{r.Method, r.Path, url.Values(params), r.Header.Clone()}
}

// NewServer starts a server that is closed when the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := Start()
	t.Cleanup(s.Close)
	return s
}

// Start starts a server for a program that is no test. Its owner closes it.
func Start() *Server {
	s := &Server{closed: make(chan struct{}), people: newPeople()}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.connections++
		}
	}
	s.http.Start()
	s.URL = s.http.URL
	return s
}

// Close stops the server. Requests under way are cut off.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	s.http.CloseClientConnections()
	s.http.Close()
}

// Requests returns all requests so far, in the order in which they arrived,
// those that met a [Fault] included.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, len(s.requests))
	for i, request := range s.requests {
		requests[i] = request.clone()
	}
	return requests
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
	// Properties are the properties that came with the event, with the values
	// that Kissmetrics has for them: where one was ignored because the person
	// had a property of that name in that second, the earlier value.
	Properties map[string]string
}

// Events returns what a person did, under any of its identities, by time.
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

// History returns all values that a property of a person has had, by time.
func (s *Server) History(person, property string) []Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.history(person, property)
}

// Properties returns the latest value of every property of a person, the
// properties of its events among them. Names are spelled as they were first
// seen.
func (s *Server) Properties(person string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.properties(person)
}

// Identities returns all identities of a person, the given one included, sorted.
func (s *Server) Identities(person string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.identities(person)
}

// A Reason says why something was ignored.
type Reason string

// The reasons for which Kissmetrics drops what it is sent.
const (
	ReasonUnknownPath    Reason = "unknown path"
	ReasonUnreadable     Reason = "unreadable parameters"
	ReasonNoAPIKey       Reason = "no API key"
	ReasonNoPerson       Reason = "no person"
	ReasonNoName         Reason = "no name"
	ReasonNameTooLong    Reason = "a name of more than 255 characters"
	ReasonValueTooLong   Reason = "a value of more than 8192 bytes"
	ReasonTooOld         Reason = "a time before 2009-01-01"
	ReasonDuplicateEvent Reason = "an event with the same person, name and second was seen"
	ReasonDuplicateValue Reason = "a property with the same person, name and second was seen"
)

// Ignored is a request, or one property of a request, that Kissmetrics drops.
type Ignored struct {
	Reason  Reason
	Request Request
	// Property is the name of the property that was dropped; it is empty where
	// the whole request was.
	Property string
}

// Ignored returns all that was dropped so far, in the order of its arrival.
func (s *Server) Ignored() []Ignored {
	s.mu.Lock()
	defer s.mu.Unlock()
	ignored := make([]Ignored, len(s.ignored))
	for i, dropped := range s.ignored {
		ignored[i] = Ignored{dropped.Reason, dropped.Request.clone(), dropped.Property}
	}
	return ignored
}

// gif is a transparent picture of one pixel.
const gif = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" +
	"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// maxBodyBytes bounds the body of a request.
const maxBodyBytes = 4 << 20

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	unreadable := r.ParseForm()
	request := Request{r.Method, r.URL.Path, r.Form, r.Header}.clone()
	fault := s.arrive(r, request)
	if fault.recorded() {
		s.record(request, unreadable) // before the delay, which a client may not sit out
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
	default:
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write([]byte(gif))
	}
}

// record takes a request as Kissmetrics would.
func (s *Server) record(request Request, unreadable error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ignore := func(reason Reason, property string) {
		s.ignored = append(s.ignored, Ignored{reason, request, property})
	}
	if unreadable != nil {
		ignore(ReasonUnreadable, "")
		return
	}
	s.people.record(request, time.Now(), ignore)
}

// sortedNames returns the names of the properties among parameters.
func sortedNames(params url.Values) []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(params)), func(name string) bool {
		switch name {
		case "_k", "_p", "_n", "_t", "_d":
			return true
		}
		return false
	})
	slices.SortFunc(names, cmp.Compare)
	return names
}

// normal returns a name with spaces for commas and colons.
func normal(name string) string {
	return strings.NewReplacer(",", " ", ":", " ").Replace(name)
}
