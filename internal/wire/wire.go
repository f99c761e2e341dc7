// Package wire reads messages in the JSON of the RudderStack and Segment SDKs, and
// rows of the warehouses that these fill, into one form.
//
// It looks only at what the type of a message uses, and refuses a message only if
// that cannot be told. Anything else that is not as it should be is left out, and
// is one of the message's problems.
package wire

import (
	"errors"
	"time"

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
	Object              jsonwalk.Object // the properties, where they are not taken apart
	Time                time.Time       // the first that is readable and possible, or zero
	Earlier             []time.Time     // those behind it, of which each is earlier than all before it
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
			m, err = parse(mended)
		}
	}
	if m.Object != nil {
		m.Properties, m.Object = m.Object.Map(), nil
	}
	return m, err
}

func parse(data []byte) (Message, error) {
	var f Fields
	r := jsonwalk.NewReader(data)
	object, err := r.Object(func(name []byte) error { return f.Read(r, name) })
	if err != nil {
		if errors.Is(err, jsonwalk.ErrKind) {
			err = notAnObject(data)
		}
		return Message{}, err
	}
	return f.Message(object)
}

// notAnObject returns the error of a value that is JSON, but no object, and of what
// is no JSON either.
func notAnObject(data []byte) error {
	if _, err := jsonwalk.Value(data); err != nil {
		return err
	}
	return &Error{Field: "message", Reason: "is not a JSON object"}
}

// Fields are the members of a message that may be needed, as they are written.
type Fields struct {
	Type, Context                            Value
	Timestamp, OriginalTimestamp             Instant
	SentAt, ReceivedAt                       Instant
	userID, anonymousID, previousID, groupID Value
	event, name, category                    Value
	properties, traits                       Value
	columns                                  columns
}

// Read reads one member.
func (f *Fields) Read(r *jsonwalk.Reader, name []byte) error {
	field := f.field(name)
	if field == nil {
		f.columns.person = f.columns.person || isPerson(name)
		return r.Skip()
	}
	v, err := r.Raw()
	*field = v
	return err
}

// Message returns the message that is made of the fields, which are those of an
// object. Its properties are not taken apart, and part of the object.
func (f *Fields) Message(object []byte) (Message, error) {
	if f.isRow() {
		return row(object)
	}
	return f.message()
}

// field returns where the value of a member belongs, or nil.
func (f *Fields) field(name []byte) *Value {
	switch string(name) {
	case "type":
		return &f.Type
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
	case "context":
		return &f.Context
	case "timestamp":
		return &f.Timestamp.Value
	case "originalTimestamp":
		return &f.OriginalTimestamp.Value
	case "sentAt":
		return &f.SentAt.Value
	case "receivedAt":
		return &f.ReceivedAt.Value
	}
	return f.columns.field(name)
}

// columns are members that are named as the columns of a warehouse. Some SDKs of
// others name them so, too.
type columns struct {
	person                                   bool // a user_id or anonymous_id, in any case
	userID, anonymousID, previousID, groupID Value
	originalTimestamp, sentAt, receivedAt    Instant
}

func (c *columns) field(name []byte) *Value {
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
		return &c.originalTimestamp.Value
	case "sent_at":
		return &c.sentAt.Value
	case "received_at":
		return &c.receivedAt.Value
	}
	return nil
}

// message returns the message that is made of the fields.
func (f *Fields) message() (Message, error) {
	f.adopt()
	kind, err := f.Type.messageType()
	if err != nil {
		return Message{}, err
	}
	m := Message{Type: kind}
	m.person(f.userID, f.anonymousID)
	switch kind {
	case "identify":
		if m.Object = m.object("traits", f.traits); m.Object.IsEmpty() {
			m.Lend(f.contextTraits())
		}
	case "page":
		m.Object = m.object("properties", f.properties)
		m.title(f.category, f.name, m.Object.Find("name"))
	case "screen":
		m.Object = m.object("properties", f.properties)
		m.title(f.category, f.name, f.event, m.Object.Find("name"))
	case "track":
		m.Object = m.object("properties", f.properties)
		m.Name = m.text("event", NoText, f.event)
	case "group":
		m.Object = m.object("traits", f.traits)
		m.GroupID = m.text("groupId", NoIdentity, f.groupID)
	case "alias":
		if m.PreviousID = m.text("previousId", NoIdentity, f.previousID); m.PreviousID == "" {
			m.PreviousID = m.AnonymousID
		}
	}
	m.time(&f.Timestamp, &f.OriginalTimestamp, &f.SentAt, &f.ReceivedAt)
	return m, nil
}

// adopt takes the columns for fields that are not there.
func (f *Fields) adopt() {
	c := &f.columns
	for _, p := range [...]struct{ field, column *Value }{
		{&f.userID, &c.userID}, {&f.anonymousID, &c.anonymousID}, {&f.previousID, &c.previousID}, {&f.groupID, &c.groupID},
	} {
		if p.field.isAbsent() {
			*p.field = *p.column
		}
	}
	for _, p := range [...]struct{ field, column *Instant }{
		{&f.OriginalTimestamp, &c.originalTimestamp}, {&f.SentAt, &c.sentAt}, {&f.ReceivedAt, &c.receivedAt},
	} {
		if p.field.isAbsent() {
			*p.field = *p.column
		}
	}
}

// contextTraits returns the traits that the SDKs of devices put into the context.
func (f *Fields) contextTraits() Value {
	return jsonwalk.Object(f.Context).Find("traits")
}

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
func (m *Message) person(userID, anonymousID Value) {
	user, isUser := userID.plain()
	anonymous, isAnonymous := anonymousID.plain()
	if user == "0" && userID.kind() == '0' && anonymous != "" {
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
func (m *Message) text(field string, kind Kind, v Value) string {
	text, ok := v.plain()
	if !ok {
		m.problem(field, kind)
	}
	return text
}

// title sets the category and the name of a page or a screen: the first of names
// that is one.
func (m *Message) title(category Value, names ...Value) {
	var ok bool
	if m.Category, ok = category.title(); !ok {
		m.problem("category", NoText)
	}
	for i, v := range names {
		if m.Name, ok = v.title(); m.Name != "" {
			return
		}
		if !ok && i == 0 {
			m.problem("name", NoText)
		}
	}
}

// Lend gives an identify that has no traits those of a context.
func (m *Message) Lend(traits Value) { m.Object = m.object("traits", traits) }

// object returns an object, or nil.
func (m *Message) object(field string, v Value) jsonwalk.Object {
	if v.kind() == '{' {
		return jsonwalk.Object(v)
	}
	if !v.isNoObject() {
		m.problem(field, NoObject)
	}
	return nil
}
