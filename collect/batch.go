package collect

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
	"github.com/kissmetrics-go/kissmetrics/internal/wire"
)

// A batch is what a request holds.
type batch struct {
	messages     []head
	fields       []wire.Fields // of the last messages; see newFields
	kind         string        // of the message, where there is one and the path says it
	writeKey     string
	sentAt       time.Time
	integrations wire.Integrations
	context      []byte
	received     time.Time
	source       *Source
	retry        bool // the SDK says that it has sent the same before

	isUnreadable bool // whether the body is no JSON object

	isList     bool        // whether there is a list of messages
	traits     wire.Value  // of the context,
	traitsRead bool        // once they were asked for
	lent       int         // what they took, once for every message that they were given to
	read       readMessage // the message that is being taken

	own         [2]kissmetrics.Property // for the identity of a message
	wasRead     bool                    // the library of a context was asked for,
	lastContext []byte
	lastLibrary sentAtKind // and is this
}

// A head is what is known of a message before it is parsed.
type head struct {
	data                []byte       // all of it
	fields              *wire.Fields // of an object
	isObject            bool
	id, kind            string
	timestamp, original time.Time // zero if it has none that can be read
	sentAt              time.Time
	integrations        wire.Integrations
}

// batches keep the memory that they work in.
var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch(kind string) *batch {
	b, _ := batches.Get().(*batch)
	b.kind = kind
	return b
}

// release keeps a batch that is done for another one.
func (b *batch) release() {
	const most = 1 << 10 // messages
	messages := b.messages
	if cap(messages) > most {
		messages = nil
	}
	clear(messages[:cap(messages)])
	clear(b.fields)
	*b = batch{messages: messages[:0], fields: b.fields[:0]}
	batches.Put(b)
}

// newFields returns the fields of another message. They have room together, a few at a
// time: what is no object needs none.
func (b *batch) newFields() *wire.Fields {
	const few = 128
	if len(b.fields) == cap(b.fields) {
		b.fields = make([]wire.Fields, 0, few) // messages keep the former
	}
	b.fields = append(b.fields, wire.Fields{})
	return &b.fields[len(b.fields)-1]
}

// parse takes a body apart, in one walk. The problem is the answer to one that is not
// what it should be; if it is JSON, its write key is returned even then.
func (h *Handler) parse(data []byte, e endpoint) (*batch, *answer) {
	b, err := h.walk(data, e)
	if _, ok := errors.AsType[*jsonwalk.Error](err); ok {
		if mended, ok := jsonwalk.Mend(data); ok {
			b.release()
			b, err = h.walk(mended, e)
		}
	}
	problem := func(status int, code, reason string) (*batch, *answer) {
		a := failure(status, code, reason)
		return b, &a
	}
	switch {
	case err != nil:
		b.isUnreadable = true
		return problem(http.StatusBadRequest, "invalid_body", "the body is not a JSON object")
	case e.isBatch() && !b.isList:
		return problem(http.StatusBadRequest, "invalid_body", `"batch" is not a list`)
	case len(b.messages) > h.config.maxMessages:
		return problem(http.StatusRequestEntityTooLarge, "too_large", "the batch has too many messages")
	}
	return b, nil
}

// walk reads the members of a body. Of a body that is one message, they are those of
// a batch and of its message.
func (h *Handler) walk(data []byte, e endpoint) (*batch, error) {
	b := newBatch(e.kind)
	w := walker{Reader: jsonwalk.NewReader(data), batch: b}
	own := head{isObject: true, fields: b.newFields()}
	var err error
	own.data, err = w.Object(func(name []byte) (err error) {
		switch string(name) {
		case "writeKey":
			var key []byte
			key, err = w.Raw()
			b.writeKey = string(jsonwalk.Unquote(key))
		case "batch":
			b.isList, err = w.list(h.config.maxMessages)
		default:
			err = w.member(&own, name)
		}
		return err
	})
	own.finish()
	b.context = own.fields.Context
	switch {
	case err != nil:
	case e.kind != "":
		own.kind, own.fields.Type, own.data = e.kind, wire.Value(`"`+e.kind+`"`), withType(own.data, e.kind)
		b.messages = append(b.messages[:0], own)
	default:
		b.sentAt, b.integrations = own.sentAt, own.integrations
	}
	return b, err
}

// A walker reads the heads of a batch.
type walker struct {
	*jsonwalk.Reader
	batch *batch
}

// list reads the messages of a batch, up to one more than most, and reports whether
// it is one.
func (w *walker) list(most int) (ok bool, err error) {
	b := w.batch
	b.messages = b.messages[:0]
	if w.Kind() != '[' || b.kind != "" {
		return false, w.Skip()
	}
	return true, w.Elements(func() error {
		if len(b.messages) > most {
			return w.Skip()
		}
		b.messages = append(b.messages, head{})
		return w.head(&b.messages[len(b.messages)-1])
	})
}

// head reads one message.
func (w *walker) head(m *head) (err error) {
	if w.Kind() != '{' {
		return w.Skip()
	}
	m.isObject, m.fields = true, w.batch.newFields()
	m.data, err = w.Object(func(name []byte) error { return w.member(m, name) })
	m.finish()
	return err
}

// member reads a member of a message.
func (w *walker) member(m *head, name []byte) (err error) {
	switch string(name) {
	case "integrations":
		m.integrations, err = wire.ReadIntegrations(w.Reader)
		return err
	case "messageId":
		value, err := w.Raw()
		if err != nil {
			return err
		}
		m.id = idOf(value)
		return nil
	}
	return m.fields.Read(w.Reader, name)
}

// finish sets what is known once all members are read.
func (m *head) finish() {
	m.kind = kindOf(jsonwalk.Unquote(m.fields.Type))
	m.timestamp, _ = m.fields.Timestamp.Time()
	m.original, _ = m.fields.OriginalTimestamp.Time()
	m.sentAt, _ = m.fields.SentAt.Time()
}

// idOf returns the messageId that a value is: a text, or a number as it is written.
func idOf(value []byte) string {
	if c := value[0]; c == '-' || '0' <= c && c <= '9' {
		return string(value)
	}
	return string(jsonwalk.Unquote(value))
}

// kindOf returns the type of a message.
func kindOf(name []byte) string {
	if kind, ok := kinds[string(name)]; ok && len(kind) == len(name) {
		return kind // without an allocation
	}
	return string(name)
}

// at returns when the message happened by the clock of its device, or the zero time.
func (m *head) at() time.Time {
	switch {
	case !m.timestamp.IsZero():
		return m.timestamp
	case !m.original.IsZero():
		return m.original
	}
	return m.sentAt // when it was sent, or enqueued
}

// contextTraits returns the traits of the batch's context.
func (b *batch) contextTraits() wire.Value {
	if !b.traitsRead && b.kind == "" { // of one message, package wire has looked there
		b.traitsRead = true
		b.traits = jsonwalk.Object(b.context).Find("traits")
	}
	return b.traits
}
