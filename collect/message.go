package collect

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// A batch is what a request holds.
type batch struct {
	messages     [][]byte
	kind         string // of the message, where there is one and the path says it
	history      bool   // no message happens now, and all clocks were right
	writeKey     string
	sentAt       []byte
	integrations []byte
	context      []byte
	received     time.Time
	excluded     bool // whether the integrations say that it is not for Kissmetrics

	traits     kissmetrics.Properties // of the context,
	traitsRead bool                   // once they were asked for
	lent       int                    // what they took, once for every message that they were given to
}

// parse takes a body apart. The problem is the answer to one that is not what it
// should be; even then its write key is returned, where there is one.
func (h *handler) parse(data []byte, e endpoint) (*batch, *answer) {
	b := &batch{kind: e.kind, history: e.history}
	var list []byte
	problem := func(status int, reason string) (*batch, *answer) {
		a := failure(status, reason)
		return b, &a
	}
	if !members(data, func(name string, value []byte) {
		switch name {
		case "batch":
			list = value
		case "writekey":
			b.writeKey = text(value)
		case "sentat":
			b.sentAt = value
		case "integrations":
			b.integrations = value
		case "context":
			b.context = value
		}
	}) {
		return problem(http.StatusBadRequest, "the body is not a JSON object")
	}
	if e.kind != "" {
		b.messages = [][]byte{data}
		return b, nil
	}
	var ok bool
	if b.messages, ok = elements(list, h.config.maxMessages); !ok {
		return problem(http.StatusBadRequest, `"batch" is not a list`)
	}
	if len(b.messages) > h.config.maxMessages {
		return problem(http.StatusRequestEntityTooLarge, "the batch has too many messages")
	}
	b.excluded = excluded(b.integrations)
	return b, nil
}

// A message is one of a batch.
type message struct {
	id       string // its messageId
	kind     string
	identity identity // by which a repeat is known
	ignored  bool     // it is not for Kissmetrics
	timed    bool     // it says when it happened
	records  []kissmetrics.Record
}

var (
	errNoObject    = &kissmetrics.ValidationError{Field: "message", Reason: "is not a JSON object"}
	errLentTooMuch = &kissmetrics.ValidationError{Field: "property", Reason: "the traits of the batch's context are too large for so many messages"}
)

// message reads one message of the batch, and turns it into records.
func (h *handler) message(b *batch, data []byte) (m message, err error) {
	var timestamp, original []byte
	var integrations []byte
	sentAt := b.sentAt
	hash := hasher{}
	if !members(data, func(name string, value []byte) {
		switch name {
		case "messageid":
			m.id = text(value)
		case "type":
			m.kind = text(value)
		case "timestamp":
			timestamp = value
		case "originaltimestamp":
			original = value
		case "sentat":
			sentAt = value
			return // differs at a repeat
		case "integrations":
			integrations = value
			return
		case "userid", "anonymousid", "previousid", "groupid", "event", "name":
		default:
			return
		}
		hash.add(name, value)
	}) {
		return m, errNoObject
	}
	if b.kind != "" {
		m.kind = b.kind
		data = withType(data, b.kind)
	}
	m.identity = hash.sum(m.kind)
	m.timed = givenTime(timestamp) || givenTime(original)
	if m.ignored = b.excluded; integrations != nil {
		m.ignored = excluded(integrations)
	}
	if m.ignored {
		return m, nil
	}
	parsed, err := kissmetrics.ParseMessage(data)
	if err != nil {
		return m, err
	}
	if identify, ok := parsed.(kissmetrics.Identify); ok && len(identify.Traits) == 0 {
		if identify.Traits = b.contextTraits(); len(identify.Traits) > 0 {
			if b.lent += len(b.context); b.lent > h.config.maxBytes {
				return m, errLentTooMuch
			}
		}
		parsed = identify
	}
	if m.id != "" && !b.history && (!givenTime(original) || !givenTime(timestamp)) {
		parsed = h.corrected(parsed, sentAt, b.received)
	}
	var now time.Time // an import has none, so every message must have its own
	if !b.history {
		now = b.received
	}
	m.records, _, err = kissmetrics.Transform(parsed, now, h.config.transform)
	return m, err
}

// withType returns a message of the given type, whatever its own says: of two
// members with one name the last counts.
func withType(data []byte, kind string) []byte {
	end := bytes.LastIndexByte(data, '}')
	separator := ","
	if bytes.IndexByte(data, '"') < 0 { // it has no members
		separator = ""
	}
	typed := make([]byte, 0, len(data)+len(kind)+len(`,"type":""}`))
	typed = append(typed, data[:end]...)
	return append(typed, separator+`"type":"`+kind+`"}`...)
}

// contextTraits returns the traits of the batch's context.
func (b *batch) contextTraits() kissmetrics.Properties {
	if b.traitsRead || b.kind != "" {
		return b.traits // of one message, ParseMessage has looked there
	}
	b.traitsRead = true
	if len(b.context) > 0 {
		identify := append([]byte(`{"type":"identify","context":`), b.context...)
		if m, err := kissmetrics.ParseMessage(append(identify, '}')); err == nil {
			b.traits = m.(kissmetrics.Identify).Traits
		}
	}
	return b.traits
}

// excluded reports whether integrations say that a message is not for
// Kissmetrics.
func excluded(integrations []byte) bool {
	if !bytes.Contains(integrations, []byte("false")) { // as in most
		return false
	}
	var switches map[string]any
	if json.Unmarshal(integrations, &switches) != nil {
		return false
	}
	all := true
	for name, v := range switches {
		on, isSwitch := v.(bool)
		switch {
		case strings.EqualFold(name, "Kissmetrics"):
			return isSwitch && !on // settings of its own mean yes
		case strings.EqualFold(name, "All") && isSwitch:
			all = on
		}
	}
	return !all
}

// corrected returns a message with its time corrected by the difference between
// the sender's clock and ours, in whole steps.
func (h *handler) corrected(parsed kissmetrics.Message, sentAt []byte, received time.Time) kissmetrics.Message {
	const century = 100 * 365 * 24 * time.Hour
	sent, err := time.Parse(time.RFC3339, text(sentAt))
	if err != nil || h.config.clockStep == 0 {
		return parsed
	}
	behind := received.Sub(sent)
	if behind.Abs() > century { // is no clock's, but Go's zero time for one
		return parsed
	}
	if behind = behind.Truncate(h.config.clockStep); behind == 0 {
		return parsed
	}
	correct := func(t *time.Time) {
		if !t.IsZero() {
			*t = t.Add(behind)
		}
	}
	switch m := parsed.(type) {
	case kissmetrics.Identify:
		correct(&m.Timestamp)
		return m
	case kissmetrics.Page:
		correct(&m.Timestamp)
		return m
	case kissmetrics.Screen:
		correct(&m.Timestamp)
		return m
	case kissmetrics.Track:
		correct(&m.Timestamp)
		return m
	case kissmetrics.Group:
		correct(&m.Timestamp)
		return m
	case kissmetrics.Alias:
		correct(&m.Timestamp)
		return m
	}
	return parsed
}

// An identity tells messages apart: it is a sum of what makes a message the same
// at a repeat.
type identity [16]byte

type hasher struct {
	room  [512]byte
	parts []byte
	has   bool // a messageId
}

func (h *hasher) add(name string, value []byte) {
	if h.parts == nil {
		h.parts = h.room[:0]
	}
	h.has = h.has || name == "messageid" && text(value) != ""
	h.parts = append(h.parts, name...)
	h.parts = binary.AppendUvarint(h.parts, uint64(len(value)))
	h.parts = append(h.parts, value...)
}

// sum returns the identity, which is zero for a message without a messageId.
func (h *hasher) sum(kind string) (id identity) {
	if !h.has {
		return identity{}
	}
	sum := sha256.Sum256(append(h.parts, kind...))
	copy(id[:], sum[:])
	return id
}

// isFinal reports whether an error will be the same at a repeat.
func isFinal(err error) bool {
	if delivery, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		return !delivery.Retryable()
	}
	_, ok := errors.AsType[*kissmetrics.ValidationError](err)
	return ok
}
