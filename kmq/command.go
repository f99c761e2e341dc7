package kmq

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// A Kind says what a [Command] does.
type Kind string

// The commands of the queue; see
// https://support.kissmetrics.io/reference/javascript-library.
const (
	// KindIdentify says who the visitor is from now on. If the visitor was
	// anonymous, the script makes the two identities one person.
	KindIdentify Kind = "identify"
	// KindSet sets properties of the visitor.
	KindSet Kind = "set"
	// KindRecord records an event.
	KindRecord Kind = "record"
	// KindAlias says that two identities are one person.
	KindAlias Kind = "alias"
	// KindClearIdentity makes the visitor a new, anonymous one, as is right where
	// a user logs out. No message becomes it.
	KindClearIdentity Kind = "clearIdentity"
)

// A Command is an entry of the queue of a page. [Commands] makes commands that
// are valid; one made by hand is checked where it is written.
type Command struct {
	Kind Kind
	// ID is the identity of KindIdentify, and the new one of KindAlias.
	ID string
	// PreviousID is the previous identity of KindAlias.
	PreviousID string
	// Event is the name of the event of KindRecord.
	Event string
	// Time is when the event happened or the properties were set, in whole
	// seconds. If it is zero, they do when the script carries out the command.
	Time time.Time
	// Properties are those of KindSet and KindRecord, sorted by name, and no name
	// occurs twice.
	Properties []kissmetrics.Property
}

// Validate reports what Kissmetrics would drop without a word, or what could
// not be undone, by the rules of [kissmetrics.Record.Validate].
func (c Command) Validate() error {
	r := kissmetrics.Record{Person: somebody, Time: c.Time, Properties: c.Properties}
	if r.Time.IsZero() {
		r.Time = someTime
	}
	switch c.Kind {
	case KindIdentify:
		r = kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: somebody, Name: c.ID}
	case KindAlias:
		r = kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: c.PreviousID, Name: c.ID}
	case KindSet:
		r.Kind = kissmetrics.KindProperties
	case KindRecord:
		r.Kind, r.Name = kissmetrics.KindEvent, c.Event
	case KindClearIdentity:
		return nil
	default:
		return &kissmetrics.ValidationError{Field: "type", Reason: "unknown kind of command"}
	}
	return r.Validate()
}

// MarshalJSON returns the command as the queue takes it: an array of its kind
// and its arguments, such as ["record","Signed Up",{"plan":"pro"}], with _t and
// _d among the properties where there is a Time.
//
// Numbers and booleans are those of JSON. Only a number that JavaScript would
// round, such as an id of 20 digits, or write with an exponent is a text, which
// Kissmetrics takes for the same number.
//
// A command that is not valid has no JSON: the error is that of
// [Command.Validate].
func (c Command) MarshalJSON() ([]byte, error) { return c.appendTo(nil, false) }

// appendTo appends the command as JSON, or as JavaScript, which differs in one
// thing: there, a member named __proto__ would not be one.
func (c Command) appendTo(dst []byte, script bool) ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	dst = appendText(append(dst, '['), string(c.Kind))
	switch c.Kind {
	case KindIdentify:
		dst = appendText(append(dst, ','), c.ID)
	case KindAlias:
		dst = appendText(append(dst, ','), c.ID)
		dst = appendText(append(dst, ','), c.PreviousID)
	case KindRecord:
		dst = appendText(append(dst, ','), c.Event)
		if len(c.Properties) > 0 || !c.Time.IsZero() {
			dst = c.appendProperties(append(dst, ','), script)
		}
	case KindSet:
		dst = c.appendProperties(append(dst, ','), script)
	}
	return append(dst, ']'), nil
}

func (c Command) appendProperties(dst []byte, script bool) []byte {
	start := len(dst)
	name := func(s string) {
		dst = append(dst, ',')
		if script && s == "__proto__" {
			dst = append(dst, `["__proto__"]:`...)
			return
		}
		dst = append(appendText(dst, s), ':')
	}
	for _, p := range c.Properties {
		name(p.Name)
		if p.Literal && keptByJavaScript(p.Value) {
			dst = append(dst, p.Value...)
		} else {
			dst = appendText(dst, p.Value)
		}
	}
	if !c.Time.IsZero() {
		name("_t")
		dst = strconv.AppendInt(dst, c.Time.Unix(), 10)
		name("_d")
		dst = append(dst, '1')
	}
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{' // for the first comma
	return append(dst, '}')
}

// appendText appends a text as JSON that is safe in a script of an HTML page
// too: encoding/json escapes <, >, &, U+2028 and U+2029.
func appendText(dst []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string cannot fail
	return append(dst, quoted...)
}

// keptByJavaScript reports whether a boolean or number in plain decimal is
// still the same, and still in plain decimal, when JavaScript has read and
// written it. See https://tc39.es/ecma262/#sec-numeric-types-number-tostring.
func keptByJavaScript(literal string) bool {
	if literal == "true" || literal == "false" {
		return true
	}
	f, err := strconv.ParseFloat(literal, 64)
	if size := math.Abs(f); err != nil || size >= 1e21 || size != 0 && size < 1e-6 {
		return false
	}
	if strings.Contains(literal, ".") {
		literal = strings.TrimSuffix(strings.TrimRight(literal, "0"), ".")
	}
	return strconv.FormatFloat(f, 'f', -1, 64) == literal
}
