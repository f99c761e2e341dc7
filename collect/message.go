package collect

import (
	"bytes"
	"errors"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

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

// message turns a message of the batch into records.
func (h *handler) message(b *batch, head *head) (m message, err error) {
	m = message{id: head.id, kind: head.kind, identity: head.identity, timed: head.timestamp || head.original}
	if !head.isObject {
		return m, errNoObject
	}
	if m.ignored = head.integrations.Over(b.integrations).Excluded(); m.ignored {
		return m, nil
	}
	data := head.data
	if b.kind != "" {
		data = withType(data, b.kind)
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
	if m.id != "" && !b.history && (!head.original || !head.timestamp) {
		sent := head.sentAt
		if sent.IsZero() {
			sent = b.sentAt
		}
		parsed = h.corrected(parsed, sent, b.received)
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

// corrected returns a message with its time corrected by the difference between
// the sender's clock and ours, in whole steps.
func (h *handler) corrected(parsed kissmetrics.Message, sent, received time.Time) kissmetrics.Message {
	const century = 100 * 365 * 24 * time.Hour
	behind := received.Sub(sent)
	if h.config.clockStep == 0 || behind.Abs() > century { // is no clock's
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

// isFinal reports whether an error will be the same at a repeat.
func isFinal(err error) bool {
	if delivery, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok {
		return !delivery.Retryable()
	}
	_, ok := errors.AsType[*kissmetrics.ValidationError](err)
	return ok
}
