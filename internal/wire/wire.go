// Package wire reads messages in the JSON of the RudderStack and Segment SDKs, and
// rows of the warehouses that these fill, into one form.
//
// It looks only at what the type of a message uses, and refuses a message only if
// that cannot be told. Anything else that is not as it should be is left out, and
// is one of the message's problems.
package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// A Message is what one message says.
type Message struct {
	Type                string // identify, page, screen, track, group or alias
	UserID, AnonymousID string
	PreviousID          string // of an alias
	GroupID             string // of a group
	Name                string // of a track's event, a page or a screen
	Category            string // of a page or a screen
	Properties          map[string]any
	Time                time.Time   // the first that is readable and possible, or zero
	Earlier             []time.Time // those behind it, of which each is earlier than all before it
	Problems            []Problem
}

// A Problem is a part of a message that was left out, under the name of its field.
type Problem struct {
	Field string
	Kind  Kind
}

// A Kind is what is wrong with a part of a message.
type Kind uint8

// What can be wrong with a part: it
const (
	NoIdentity Kind = iota + 1 // is no identity
	NoText                     // is neither a text nor a number
	NoObject                   // is not an object
	NoTime                     // is no time, or was before 2009
)

// An Error is why a message is refused.
type Error struct{ Field, Reason string }

func (e *Error) Error() string { return e.Field + " " + e.Reason }

// Parse reads a message or a row. An error is an [*Error] or a [*jsonwalk.Error].
func Parse(data []byte) (Message, error) {
	m, err := parse(data)
	if _, ok := errors.AsType[*jsonwalk.Error](err); ok {
		if mended, ok := jsonwalk.Mend(data); ok {
			return parse(mended)
		}
	}
	return m, err
}

func parse(data []byte) (Message, error) {
	var f fields
	r := jsonwalk.NewReader(data)
	if err := r.Members(func(name []byte) error { return f.read(r, name) }); err != nil {
		if errors.Is(err, jsonwalk.ErrKind) {
			err = notAnObject(data)
		}
		return Message{}, err
	}
	if f.isRow() {
		return row(data)
	}
	return f.message()
}

// notAnObject returns the error of a value that is JSON, but no object, and of what
// is no JSON either.
func notAnObject(data []byte) error {
	if _, err := jsonwalk.Value(data); err != nil {
		return err
	}
	return &Error{Field: "message", Reason: "is not a JSON object"}
}

// fields are the members of a message that may be needed.
type fields struct {
	kind                                     any
	userID, anonymousID, previousID, groupID any
	event, name, category                    any
	properties, traits                       any
	context                                  []byte // as it is written
	contextKind                              byte
	times                                    [4]any
	columns                                  columns
}

// columns are members that are named as the columns of a warehouse. Some SDKs of
// others name them so, too.
type columns struct {
	person                                   bool // a user_id or anonymous_id, in any case
	userID, anonymousID, previousID, groupID any
	times                                    [4]any
}

// read reads one member.
func (f *fields) read(r *jsonwalk.Reader, name []byte) (err error) {
	field := f.field(name)
	switch {
	case field != nil:
		*field, err = r.Value()
		return err
	case string(name) == "context":
		f.contextKind = r.Kind()
		f.context, err = r.Raw()
		return err
	}
	f.columns.person = f.columns.person || isPerson(name)
	return r.Skip()
}

// field returns where the value of a member belongs, or nil.
func (f *fields) field(name []byte) *any {
	switch string(name) {
	case "type":
		return &f.kind
	case "userId":
		return &f.userID
	case "anonymousId":
		return &f.anonymousID
	case "previousId":
		return &f.previousID
	case "groupId":
		return &f.groupID
	case "event":
		return &f.event
	case "name":
		return &f.name
	case "category":
		return &f.category
	case "properties":
		return &f.properties
	case "traits":
		return &f.traits
	case "timestamp":
		return &f.times[0]
	case "originalTimestamp":
		return &f.times[1]
	case "sentAt":
		return &f.times[2]
	case "receivedAt":
		return &f.times[3]
	}
	return f.columns.field(name)
}

func (c *columns) field(name []byte) *any {
	switch string(name) {
	case "user_id":
		c.person = true
		return &c.userID
	case "anonymous_id":
		c.person = true
		return &c.anonymousID
	case "previous_id":
		return &c.previousID
	case "group_id":
		return &c.groupID
	case "original_timestamp":
		return &c.times[1]
	case "sent_at":
		return &c.times[2]
	case "received_at":
		return &c.times[3]
	}
	return nil
}

// message returns the message that is made of the fields.
func (f *fields) message() (Message, error) {
	f.adopt()
	kind, err := typeOf(f.kind)
	if err != nil {
		return Message{}, err
	}
	m := Message{Type: kind}
	m.person(f.userID, f.anonymousID)
	switch kind {
	case "identify":
		if m.Properties = m.object("traits", f.traits); len(m.Properties) == 0 {
			m.Properties = m.object("traits", f.contextTraits())
		}
	case "page":
		m.Properties = m.object("properties", f.properties)
		m.title(f.category, f.name, m.Properties["name"])
	case "screen":
		m.Properties = m.object("properties", f.properties)
		m.title(f.category, f.name, f.event, m.Properties["name"])
	case "track":
		m.Properties = m.object("properties", f.properties)
		m.Name = m.text("event", NoText, f.event)
	case "group":
		m.Properties = m.object("traits", f.traits)
		m.GroupID = m.text("groupId", NoIdentity, f.groupID)
	case "alias":
		if m.PreviousID = m.text("previousId", NoIdentity, f.previousID); m.PreviousID == "" {
			m.PreviousID = m.AnonymousID
		}
	}
	m.time(f.times[:])
	return m, nil
}

// adopt takes the columns for fields that are not there.
func (f *fields) adopt() {
	c := &f.columns
	for _, p := range [...]struct{ field, column *any }{
		{&f.userID, &c.userID}, {&f.anonymousID, &c.anonymousID}, {&f.previousID, &c.previousID}, {&f.groupID, &c.groupID},
		{&f.times[1], &c.times[1]}, {&f.times[2], &c.times[2]}, {&f.times[3], &c.times[3]},
	} {
		if absent(*p.field) {
			*p.field = *p.column
		}
	}
}

// contextTraits returns the traits that the SDKs of devices put into the context.
func (f *fields) contextTraits() (traits any) {
	if f.contextKind != '{' {
		return nil
	}
	r := jsonwalk.NewReader(f.context)
	_ = r.Members(func(name []byte) (err error) { // has been read once already
		if string(name) == "traits" {
			traits, err = r.Value()
			return err
		}
		return r.Skip()
	})
	return traits
}

// typeOf returns the type of a message.
func typeOf(v any) (string, error) {
	name, isText := v.(string)
	switch kind := strings.ToLower(strings.TrimSpace(name)); {
	case absent(v):
		return "", &Error{Field: "type", Reason: "is missing"}
	case !isText:
		return "", &Error{Field: "type", Reason: "is not a text"}
	case isType(kind):
		return kind, nil
	}
	return "", &Error{Field: "type", Reason: "is none of identify, page, screen, track, group and alias"}
}

func isType(kind string) bool {
	switch kind {
	case "identify", "page", "screen", "track", "group", "alias":
		return true
	}
	return false
}

// absent reports whether a value says nothing.
func absent(v any) bool { return v == nil || v == "" }

// problem keeps a problem, once.
func (m *Message) problem(field string, kind Kind) {
	for _, p := range m.Problems {
		if p.Field == field {
			return
		}
	}
	m.Problems = append(m.Problems, Problem{field, kind})
}

// person sets who the message is about. The anonymous identity counts only where
// there is no other, and what is wrong with it matters only then. The number 0 is
// the identity of everybody whom a program does not know.
func (m *Message) person(userID, anonymousID any) {
	user, isUser := plain(userID)
	anonymous, isAnonymous := plain(anonymousID)
	if _, isNumber := userID.(json.Number); isNumber && user == "0" && anonymous != "" {
		user, isUser = "", false
	}
	m.UserID, m.AnonymousID = user, anonymous
	if !isUser {
		m.problem("userId", NoIdentity)
	}
	if !isAnonymous && user == "" {
		m.problem("anonymousId", NoIdentity)
	}
}

// text returns a text, or the number that it is.
func (m *Message) text(field string, kind Kind, v any) string {
	text, ok := plain(v)
	if !ok {
		m.problem(field, kind)
	}
	return text
}

// plain returns a text, or a number in plain decimal. What is absent is empty; ok is
// false for anything else.
func plain(v any) (text string, ok bool) {
	const longest = 255 // digits that Kissmetrics keeps of any name
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return decimal.Plain(string(v), longest)
	}
	return "", false
}

// title sets the category and the name of a page or a screen: the first of names
// that is one.
func (m *Message) title(category any, names ...any) {
	var ok bool
	if m.Category, ok = title(category); !ok {
		m.problem("category", NoText)
	}
	for i, v := range names {
		if m.Name, ok = title(v); m.Name != "" {
			return
		}
		if !ok && i == 0 {
			m.problem("name", NoText)
		}
	}
}

// title returns a text for a name. False and 0 are what some programs write for
// none.
func title(v any) (name string, ok bool) {
	if v == false {
		return "", true
	}
	name, ok = plain(v)
	if _, isNumber := v.(json.Number); isNumber && name == "0" {
		return "", true
	}
	return name, ok
}

// object returns an object. An empty list is what PHP makes of an empty one, and an
// empty text says nothing.
func (m *Message) object(field string, v any) map[string]any {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		return v
	case []any:
		if len(v) == 0 {
			return nil
		}
	case string:
		if strings.TrimSpace(v) == "" {
			return nil
		}
	}
	m.problem(field, NoObject)
	return nil
}
