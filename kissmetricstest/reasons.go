package kissmetricstest

import (
	"maps"
	"slices"
	"time"
)

// A Reason says why something was ignored, or is doubtful.
type Reason string

// The reasons for which Kissmetrics drops what it is sent.
const (
	ReasonUnknownPath    Reason = "unknown path"
	ReasonMethod         Reason = "a method other than GET and POST"
	ReasonUnreadable     Reason = "unreadable parameters"
	ReasonNoAPIKey       Reason = "no API key"
	ReasonNoPerson       Reason = "no person"
	ReasonNoName         Reason = "no name"
	ReasonNameTooLong    Reason = "a name of more than 255 characters"
	ReasonValueTooLong   Reason = "a value of more than 8192 characters"
	ReasonTooOld         Reason = "a time before 2009-01-01"
	ReasonSameName       Reason = "another property of the request has the same name to Kissmetrics"
	ReasonAliasProperty  Reason = "an alias has no properties"
	ReasonDuplicateEvent Reason = "the event was seen with the same person and second"
	ReasonDuplicateValue Reason = "the property was seen with the same person and second"
)

// The reasons to doubt that Kissmetrics takes something as it was meant.
const (
	ReasonLongValue        Reason = "a value of more than 512 characters"
	ReasonJSONValue        Reason = "a value in JSON, which Kissmetrics does not read"
	ReasonNotUTF8          Reason = "not UTF-8"
	ReasonMilliseconds     Reason = "a time in milliseconds, not in seconds"
	ReasonNotSeconds       Reason = "a time that is not a whole number of seconds; that of the receipt counts"
	ReasonFuture           Reason = "a time more than a day ahead"
	ReasonSameSecond       Reason = "the person had another of that name in the same second, which the old rule for duplicates drops"
	ReasonSharedIdentity   Reason = "an identity that many people share"
	ReasonAliasOfItself    Reason = "an alias of an identity to itself"
	ReasonNothingKnown     Reason = "no property, hence nothing about the person"
	ReasonUnusedName       Reason = "the path /s takes no event"
	ReasonUnknownParameter Reason = "a name that begins with an underscore is no property"
	ReasonRepeated         Reason = "a parameter that is given twice"
)

// Ignored is a request, or one property of a request, that Kissmetrics drops.
type Ignored struct {
	Reason  Reason
	Request Request
	// Property is the name of the property that was dropped, as it was sent. It
	// is empty where the whole request was.
	Property string
}

// Ignored returns all that was dropped so far, in the order of its arrival. That
// includes repeats of what was seen, which lose nothing.
func (s *Server) Ignored() []Ignored {
	s.mu.Lock()
	defer s.mu.Unlock()
	ignored := make([]Ignored, len(s.ignored))
	for i, dropped := range s.ignored {
		ignored[i] = Ignored{dropped.reason, s.requests[dropped.place].request(), dropped.name}
	}
	return ignored
}

// Warning is a request, or one parameter of a request, that probably does not mean what
// it says, or whose effect Kissmetrics does not document.
type Warning struct {
	Reason  Reason
	Request Request
	// Parameter is the name of the property or other parameter in question, as
	// it was sent. It is empty where the whole request is.
	Parameter string
}

// Warnings returns all that was kept although it is doubtful, in the order of
// its arrival: values of more than 512 characters or in JSON, times that are
// milliseconds, fractions or far ahead, and what else the reasons name.
func (s *Server) Warnings() []Warning {
	s.mu.Lock()
	defer s.mu.Unlock()
	warnings := make([]Warning, len(s.warnings))
	for i, warning := range s.warnings {
		warnings[i] = Warning{warning.reason, s.requests[warning.place].request(), warning.name}
	}
	return warnings
}

// record takes a request as Kissmetrics would.
func (s *Server) record(place int, unreadable error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := &s.requests[place]
	params := request.values()
	t := taker{
		people: &s.people, method: request.method, path: request.path, params: params, names: slices.Sorted(maps.Keys(params)), now: time.Now(),
		ignore: func(reason Reason, property string) { s.ignored = append(s.ignored, told{reason, place, property}) },
		warn:   func(reason Reason, parameter string) { s.warnings = append(s.warnings, told{reason, place, parameter}) },
	}
	t.take(unreadable)
}

// isTracking reports whether a path is one of the tracking API.
func isTracking(path string) bool { return path == "/e" || path == "/s" || path == "/a" }
