package kmq

import (
	"encoding/json"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics"
)

// A Kind says what a [Command] does.
type Kind string

// The commands of the queue. Kissmetrics describes them in
// https://support.kissmetrics.io/reference/identify-main, and all but the last
// in https://oldsupport.kissmetrics.com/apis/javascript.
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
	// KindClearIdentity makes a visitor who has been identified a new, anonymous
	// one, as is right where a user logs out. It does nothing for a visitor who is
	// anonymous. No message becomes it.
	KindClearIdentity Kind = "clearIdentity"
	// KindTrackClick records an event at each click on an element. No message
	// becomes it, nor one of the following kinds.
	KindTrackClick Kind = "trackClick"
	// KindTrackSubmit records an event each time that a form is submitted, whether
	// or not what was entered is valid. Unless the settings of the product say
	// otherwise, the script sends the fields of the form as properties, and
	// identifies an anonymous visitor by a field whose name contains "email",
	// "login", "username" or "userid".
	KindTrackSubmit Kind = "trackSubmit"
	// KindTrackClickOnOutboundLink is KindTrackClick for a link that leaves the
	// site: the script holds the browser back for 250 milliseconds, so that the
	// event gets out.
	KindTrackClickOnOutboundLink Kind = "trackClickOnOutboundLink"
	// KindTrackSubmitOnOutboundLink is KindTrackSubmit for a form that is
	// submitted to another site. No page of Kissmetrics describes it.
	KindTrackSubmitOnOutboundLink Kind = "trackSubmitOnOutboundLink"
)

// tracksElement reports whether the command waits for something to happen to an
// element of the page.
func (k Kind) tracksElement() bool {
	switch k {
	case KindTrackClick, KindTrackSubmit, KindTrackClickOnOutboundLink, KindTrackSubmitOnOutboundLink:
		return true
	}
	return false
}

// A Command is an entry of the queue of a page. [Commands] makes commands that
// are valid; one made by hand is checked where it is written.
type Command struct {
	Kind Kind
	// ID is the identity of KindIdentify, and the new one of KindAlias.
	ID string
	// PreviousID is the previous identity of KindAlias.
	PreviousID string
	// Element says what the commands named KindTrack… wait for: the id of an
	// element, such as "invite", or a class of elements after a dot, such as
	// ".play". The elements must be there when the script carries out the command.
	Element string
	// Event is the name of the event of KindRecord and the commands named
	// KindTrack….
	Event string
	// Time is when the event happened or the properties were set, in whole
	// seconds. If it is zero, that is when the script carries out the command.
	// The commands named KindTrack… have none.
	Time time.Time
	// Properties are those of KindSet, KindRecord and the commands named
	// KindTrack…, sorted by name, and no name occurs twice.
	Properties []kissmetrics.Property
}

// Validate reports what Kissmetrics would drop without a word, or what could
// not be undone, by the rules of [kissmetrics.Record.Validate]. It also reports
// an Element that is neither an id nor a class, and a command that is too long.
//
// The script sends a command as the URL of a picture, which has no second way
// for what does not fit. RFC 9110 (section 4.1) recommends that everybody take
// URLs of 8,000 bytes. So the name of the event and the properties may have
// 7,000 bytes in a URL; the rest is for the host, the API key and the visitor.
// What Kissmetrics itself takes is not documented.
func (c Command) Validate() error {
	r := kissmetrics.Record{Person: somebody, Time: c.Time, Properties: c.Properties}
	if r.Time.IsZero() {
		r.Time = someTime
	}
	switch {
	case c.Kind.tracksElement():
		if problem := c.elementProblem(); problem != nil {
			return problem
		}
		r.Kind, r.Name = kissmetrics.KindEvent, c.Event
	case c.Kind == KindIdentify:
		r = kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: somebody, Name: c.ID}
	case c.Kind == KindAlias:
		r = kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: c.PreviousID, Name: c.ID}
	case c.Kind == KindSet:
		r.Kind = kissmetrics.KindProperties
	case c.Kind == KindRecord:
		r.Kind, r.Name = kissmetrics.KindEvent, c.Event
	case c.Kind == KindClearIdentity:
		return nil
	default:
		return &kissmetrics.ValidationError{Field: "type", Reason: "unknown kind of command"}
	}
	if err := r.Validate(); err != nil {
		return err
	}
	return c.lengthProblem()
}

// elementProblem says what is wrong with a command that waits for an element.
func (c Command) elementProblem() error {
	switch name := strings.TrimLeft(c.Element, ".#"); {
	case name == "" || len(c.Element)-len(name) > 1:
		return &kissmetrics.ValidationError{Field: "element", Reason: "is neither an id nor a class"}
	case strings.ContainsFunc(c.Element, unicode.IsSpace) || !utf8.ValidString(c.Element):
		return &kissmetrics.ValidationError{Field: "element", Reason: "holds white space or invalid UTF-8"}
	case !c.Time.IsZero():
		return &kissmetrics.ValidationError{Field: "timestamp", Reason: "cannot be known of what has not happened yet"}
	}
	return nil
}

// maxOwnBytes bounds what a command adds to the URL of its picture.
const maxOwnBytes = 7000

func (c Command) lengthProblem() error {
	length := escapedLen(c.Event)
	for _, p := range c.Properties {
		length += len("&=") + escapedLen(p.Name) + escapedLen(p.Value)
	}
	if length > maxOwnBytes {
		return &kissmetrics.ValidationError{Field: "property", Reason: "the event and its properties have more than 7000 bytes in a URL"}
	}
	return nil
}

// escapedLen returns the length of a text in a URL, where a space is %20.
func escapedLen(s string) int { return len(url.QueryEscape(s)) + 2*strings.Count(s, " ") }

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
	case KindTrackClick, KindTrackSubmit, KindTrackClickOnOutboundLink, KindTrackSubmitOnOutboundLink:
		dst = appendText(append(dst, ','), c.Element)
		fallthrough
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
