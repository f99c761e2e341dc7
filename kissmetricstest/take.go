package kissmetricstest

import (
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

const (
	maxValueChars = 8 << 10 // so many bytes were documented before 512 characters were; more is not worth a doubt
	milliseconds  = 1e11    // more is no time in seconds: they get there in the year 5138
)

// A taker takes one request.
type taker struct {
	people       *people
	method, path string
	params       url.Values
	names        []string // of the parameters, sorted
	now          time.Time
	ignore       func(reason Reason, property string)
	warn         func(reason Reason, parameter string)
}

func (t *taker) param(name string) string { return t.params.Get(name) }

// take decides what the request says, and tells the people.
func (t *taker) take(unreadable error) {
	person, event, path := t.param("_p"), t.param("_n"), t.path // of an alias, the event is the other person
	named := path != "/s"
	switch {
	case !isTracking(path):
		t.ignore(ReasonUnknownPath, "")
	case t.method != http.MethodGet && t.method != http.MethodPost:
		t.ignore(ReasonMethod, "")
	case unreadable != nil:
		t.ignore(ReasonUnreadable, "")
	case t.param("_k") == "":
		t.ignore(ReasonNoAPIKey, "")
	case name.Blank(person):
		t.ignore(ReasonNoPerson, "")
	case named && name.Blank(event):
		t.ignore(ReasonNoName, "")
	case name.TooLong(person) || named && name.TooLong(event):
		t.ignore(ReasonNameTooLong, "")
	case path == "/a":
		t.alias(person, event)
	default:
		t.dated(person, event)
	}
}

func (t *taker) alias(person, other string) {
	t.doubtIdentity("_p")
	t.doubtIdentity("_n")
	t.doubtParameters()
	for property := range t.propertyNames() {
		t.ignore(ReasonAliasProperty, property)
	}
	if t.people.rules.foldIdentity(person) == t.people.rules.foldIdentity(other) {
		t.warn(ReasonAliasOfItself, "")
	}
	t.people.merge(t, person, other)
}

// dated takes an event or properties.
func (t *taker) dated(person, event string) {
	second, doubt := t.second()
	if second < name.Earliest {
		t.ignore(ReasonTooOld, "")
		return
	}
	if doubt != "" {
		t.warn(doubt, "_t")
	}
	t.doubtIdentity("_p")
	t.doubtParameters()
	isEvent := t.path == "/e"
	switch {
	case !isEvent && event != "":
		t.warn(ReasonUnusedName, "_n")
	case !isEvent && !slices.ContainsFunc(t.names, func(name string) bool { return !isParameter(name) }):
		t.warn(ReasonNothingKnown, "")
	case !utf8.ValidString(event):
		t.warn(ReasonNotUTF8, "_n")
	}
	properties := t.properties()
	switch {
	case isEvent:
		t.people.did(t, person, shared(normal(event)), second, properties)
	case len(properties) > 0:
		t.people.set(t, person, second, properties)
	}
}

// second returns the second that counts, and why it may not be the one that was
// meant.
func (t *taker) second() (second int64, doubt Reason) {
	claimed := t.param("_t")
	if t.param("_d") != "1" || claimed == "" {
		return t.now.Unix(), ""
	}
	second, err := strconv.ParseInt(claimed, 10, 64)
	switch {
	case err != nil:
		return t.now.Unix(), ReasonNotSeconds
	case second >= milliseconds:
		return second, ReasonMilliseconds
	case second > t.now.AddDate(0, 0, 1).Unix():
		return second, ReasonFuture
	}
	return second, ""
}

// doubtIdentity tells of an identity that is hardly one.
func (t *taker) doubtIdentity(parameter string) {
	switch identity := t.param(parameter); {
	case !utf8.ValidString(identity):
		t.warn(ReasonNotUTF8, parameter)
	case name.Generic(identity):
		t.warn(ReasonSharedIdentity, parameter)
	}
}

// doubtParameters tells of parameters of the protocol that are given twice, of
// which only the first is looked at, and of names that look like the protocol's
// own but are not known to be.
func (t *taker) doubtParameters() {
	for _, name := range t.names {
		switch {
		case !isParameter(name):
		case !isKnownParameter(name):
			t.warn(ReasonUnknownParameter, name)
		case repeated(t.params[name]):
			t.warn(ReasonRepeated, name)
		}
	}
}

// repeated reports whether there are different values.
func repeated(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
}

// A property is one that came with a request.
type property struct {
	name   string // as sent
	folded string
	value  string
}

// properties returns the properties that can be kept, and tells of the others.
func (t *taker) properties() []property {
	var kept []property
	for sent := range t.propertyNames() {
		p := property{shared(sent), shared(foldName(sent)), t.param(sent)}
		same := slices.IndexFunc(kept, func(other property) bool { return other.folded == p.folded })
		switch {
		case name.Blank(sent):
			t.ignore(ReasonNoName, sent)
		case name.TooLong(sent):
			t.ignore(ReasonNameTooLong, sent)
		case name.Longer(p.value, maxValueChars):
			t.ignore(ReasonValueTooLong, sent)
		case same >= 0:
			if kept[same].value != p.value {
				t.ignore(ReasonSameName, sent)
			}
		default:
			t.doubtProperty(p)
			kept = append(kept, p)
		}
	}
	return kept
}

// doubtProperty tells of a property that Kissmetrics may not take as it was meant.
func (t *taker) doubtProperty(p property) {
	if !utf8.ValidString(p.name) || !utf8.ValidString(p.value) {
		t.warn(ReasonNotUTF8, p.name)
	}
	if name.Longer(p.value, name.MaxValueChars) {
		t.warn(ReasonLongValue, p.name)
	}
	if isJSON(p.value) {
		t.warn(ReasonJSONValue, p.name)
	}
	if repeated(t.params[p.name]) {
		t.ignore(ReasonSameName, p.name)
	}
}

// propertyNames is the names of the properties, sorted.
func (t *taker) propertyNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range t.names {
			if !isParameter(name) && !yield(name) {
				return
			}
		}
	}
}

// isJSON reports whether a value is an object or a list of JSON.
func isJSON(value string) bool {
	trimmed := strings.TrimSpace(value)
	return trimmed != "" && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid([]byte(trimmed))
}
