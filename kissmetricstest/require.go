package kissmetricstest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics"
)

// TestingT is what the Require functions need of a test. Every *testing.T is
// one.
type TestingT interface {
	Helper()
	// Fatalf fails the test and ends it.
	Fatalf(format string, args ...any)
}

// RequireEvent fails the test unless the person did exactly one event of that
// name with at least the given properties, and returns the event. Names are
// compared as Kissmetrics does, without regard to case; values exactly. To a
// server, a number is its text.
//
// What a [kissmetrics.Queue] or another sender holds back has not arrived yet:
// flush it first.
func RequireEvent(t TestingT, server *Server, person, name string, properties ...kissmetrics.Property) Event {
	t.Helper()
	found := matching(server.Events(person), name, properties)
	if len(found) != 1 {
		t.Fatalf("kissmetricstest: want one event %q of %q%s, got %d.\n%s",
			name, person, with(properties), len(found), server.account(person))
		return Event{}
	}
	return found[0]
}

// RequireNoEvent fails the test if the person did an event of that name with at
// least the given properties.
func RequireNoEvent(t TestingT, server *Server, person, name string, properties ...kissmetrics.Property) {
	t.Helper()
	if found := matching(server.Events(person), name, properties); len(found) > 0 {
		t.Fatalf("kissmetricstest: want no event %q of %q%s, got %d.\n%s",
			name, person, with(properties), len(found), server.account(person))
	}
}

// RequireProperty fails the test unless the latest value of a property of the
// person is the given one.
func RequireProperty(t TestingT, server *Server, person, name, value string) {
	t.Helper()
	history := server.History(person, name)
	switch {
	case len(history) == 0:
		t.Fatalf("kissmetricstest: want the property %q of %q to be %q, got none.\n%s", name, person, value, server.account(person))
	case history[len(history)-1].Value != value:
		t.Fatalf("kissmetricstest: want the property %q of %q to be %q, got %q.\n%s",
			name, person, value, history[len(history)-1].Value, server.account(person))
	}
}

// RequireOnePerson fails the test unless the identities belong to one person, by
// way of aliases.
func RequireOnePerson(t TestingT, server *Server, identity string, others ...string) {
	t.Helper()
	server.mu.Lock()
	id, people := server.people.find(identity), &server.people
	apart := slices.DeleteFunc(slices.Clone(others), func(other string) bool {
		found := people.find(other)
		return id != nil && found != nil && found.person == id.person
	})
	server.mu.Unlock()
	if id == nil || len(apart) > 0 {
		t.Fatalf("kissmetricstest: want %q and %q to be one person, got %q apart.\n%s", identity, others, apart, server.account(identity))
	}
}

// RequireNoIgnored fails the test if the server has dropped anything.
func RequireNoIgnored(t TestingT, server *Server) {
	t.Helper()
	if text := server.complaints(false); text != "" {
		t.Fatalf("kissmetricstest: want nothing ignored, got\n%s", text)
	}
}

// RequireClean fails the test if the server has dropped anything, or has warned
// of anything; see [Server.Ignored] and [Server.Warnings].
func RequireClean(t TestingT, server *Server) {
	t.Helper()
	if text := server.complaints(true); text != "" {
		t.Fatalf("kissmetricstest: want nothing ignored and no warning, got\n%s", text)
	}
}

// matching returns the events of a name that have all of some properties.
func matching(events []Event, name string, properties []kissmetrics.Property) []Event {
	return slices.DeleteFunc(events, func(e Event) bool {
		return foldName(e.Name) != foldName(name) || slices.ContainsFunc(properties, func(p kissmetrics.Property) bool { return !e.has(p) })
	})
}

// has reports whether the event has a property.
func (e Event) has(p kissmetrics.Property) bool {
	for name, value := range e.Properties {
		if foldName(name) == foldName(p.Name) {
			return value == p.Value
		}
	}
	return false
}

// with describes the properties that were asked for.
func with(properties []kissmetrics.Property) string {
	if len(properties) == 0 {
		return ""
	}
	parts := make([]string, len(properties))
	for i, p := range properties {
		parts[i] = fmt.Sprintf("%q: %q", p.Name, p.Value)
	}
	return " with {" + strings.Join(parts, ", ") + "}"
}

// account tells what the server knows of a person, and what it did not take.
func (s *Server) account(person string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The server knows of %q:\n", person)
	for _, e := range s.Events(person) {
		fmt.Fprintf(&b, "  %s event %q %q\n", e.Time.Format("2006-01-02 15:04:05"), e.Name, e.Properties)
	}
	fmt.Fprintf(&b, "  properties %q\n", s.Properties(person))
	fmt.Fprintf(&b, "  identities %q\n", s.Identities(person))
	if text := s.complaints(true); text != "" {
		b.WriteString("It did not take everything as it was sent:\n" + text)
	}
	return b.String()
}

// complaints tells what was ignored and, if wanted, warned of, a line each.
func (s *Server) complaints(warnings bool) string {
	var b strings.Builder
	line := func(what string, request Request, reason Reason, parameter string) {
		fmt.Fprintf(&b, "  %s: %s %s of %q %q: %s", what, request.Method, request.Path,
			request.Params.Get("_p"), request.Params.Get("_n"), reason)
		if parameter != "" {
			fmt.Fprintf(&b, " (%q)", parameter)
		}
		b.WriteString("\n")
	}
	for _, i := range s.Ignored() {
		line("ignored", i.Request, i.Reason, i.Property)
	}
	if warnings {
		for _, w := range s.Warnings() {
			line("warning", w.Request, w.Reason, w.Parameter)
		}
	}
	return b.String()
}
