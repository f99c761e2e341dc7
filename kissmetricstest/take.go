package kissmetricstest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxNameChars  = 255
	maxValueChars = 512        // as documented now
	maxValueBytes = 8 << 10    // as documented once; more is not worth a doubt
	earliest      = 1230768000 // 2009-01-01
	milliseconds  = 1e11       // more is no time in seconds: they get there in the year 5138
)

// A taker takes one request.
type taker struct {
	people  *people
	request Request
	now     time.Time
	ignore  func(reason Reason, property string)
	warn    func(reason Reason, parameter string)
}

func (t *taker) param(name string) string { return t.request.Params.Get(name) }

// take decides what the request says, and tells the people.
func (t *taker) take(unreadable error) {
	person, name, path := t.param("_p"), t.param("_n"), t.request.Path
	named := path != "/s"
	switch {
	case !isTracking(path):
		t.ignore(ReasonUnknownPath, "")
	case t.request.Method != http.MethodGet && t.request.Method != http.MethodPost:
		t.ignore(ReasonMethod, "")
	case unreadable != nil:
		t.ignore(ReasonUnreadable, "")
	case t.param("_k") == "":
		t.ignore(ReasonNoAPIKey, "")
	case blank(person):
		t.ignore(ReasonNoPerson, "")
	case named && blank(name):
		t.ignore(ReasonNoName, "")
	case tooLong(person) || named && tooLong(name):
		t.ignore(ReasonNameTooLong, "")
	case path == "/a":
		t.alias(person, name)
	default:
		t.dated(person, name)
	}
}

func (t *taker) alias(person, name string) {
	t.doubtIdentity("_p")
	t.doubtIdentity("_n")
	t.doubtParameters()
	for _, property := range t.propertyNames() {
		t.ignore(ReasonAliasProperty, property)
	}
	if t.people.foldIdentity(person) == t.people.foldIdentity(name) {
		t.warn(ReasonAliasOfItself, "")
	}
	t.people.merge(person, name)
}

// dated takes an event or properties.
func (t *taker) dated(person, name string) {
	second, doubt := t.second()
	if second < earliest {
		t.ignore(ReasonTooOld, "")
		return
	}
	if doubt != "" {
		t.warn(doubt, "_t")
	}
	t.doubtIdentity("_p")
	t.doubtParameters()
	isEvent := t.request.Path == "/e"
	switch {
	case !isEvent && name != "":
		t.warn(ReasonUnusedName, "_n")
	case !isEvent && len(t.propertyNames()) == 0:
		t.warn(ReasonNothingKnown, "")
	case !utf8.ValidString(name):
		t.warn(ReasonNotUTF8, "_n")
	}
	properties := t.properties()
	switch {
	case isEvent:
		t.people.did(t, person, normal(name), second, properties)
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
	case isShared(identity):
		t.warn(ReasonSharedIdentity, parameter)
	}
}

// doubtParameters tells of parameters of the protocol that are given twice, of
// which only the first is looked at, and of names that look like the protocol's
// own but are not known to be.
func (t *taker) doubtParameters() {
	for _, name := range slices.Sorted(maps.Keys(t.request.Params)) {
		switch {
		case !isParameter(name):
		case !isKnownParameter(name):
			t.warn(ReasonUnknownParameter, name)
		case repeated(t.request.Params[name]):
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
	for _, name := range t.propertyNames() {
		p := property{name, foldName(name), t.param(name)}
		same := slices.IndexFunc(kept, func(other property) bool { return other.folded == p.folded })
		switch {
		case blank(name):
			t.ignore(ReasonNoName, name)
		case tooLong(name):
			t.ignore(ReasonNameTooLong, name)
		case len(p.value) > maxValueBytes:
			t.ignore(ReasonValueTooLong, name)
		case same >= 0:
			if kept[same].value != p.value {
				t.ignore(ReasonSameName, name)
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
	if utf8.RuneCountInString(p.value) > maxValueChars {
		t.warn(ReasonLongValue, p.name)
	}
	if isJSON(p.value) {
		t.warn(ReasonJSONValue, p.name)
	}
	if repeated(t.request.Params[p.name]) {
		t.ignore(ReasonSameName, p.name)
	}
}

// propertyNames returns the names of the properties, sorted.
func (t *taker) propertyNames() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.request.Params)) {
		if !isParameter(name) {
			names = append(names, name)
		}
	}
	return names
}

// isJSON reports whether a value is an object or a list of JSON.
func isJSON(value string) bool {
	trimmed := strings.TrimSpace(value)
	return trimmed != "" && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid([]byte(trimmed))
}

func tooLong(name string) bool { return utf8.RuneCountInString(name) > maxNameChars }
