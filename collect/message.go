package collect

import (
	"bytes"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// A message is one of a batch.
type message struct {
	id          string // its messageId
	kind        string
	identity    identity // by which a repeat is known
	ignored     bool     // it is not for Kissmetrics
	timed       bool     // it says when it happened, so that a repeat has the same second
	records     []kissmetrics.Record
	adjustments []kissmetrics.Adjustment
}

var (
	errNoObject    = &kissmetrics.ValidationError{Field: "message", Reason: "is not a JSON object"}
	errLentTooMuch = &kissmetrics.ValidationError{Field: "property", Reason: "the traits of the batch's context are too large for so many messages"}
)

// message turns a message of the batch into records.
func (h *Handler) message(b *batch, head *head) (m message, err error) {
	m = message{id: head.id, kind: head.kind}
	if !head.isObject {
		return m, errNoObject
	}
	if m.ignored = head.integrations.Over(b.integrations).Excluded(); m.ignored {
		return m, nil
	}
	read := &b.read
	if read.message, err = head.fields.Message(head.data); err != nil {
		return m, refusal(err)
	}
	if read.isBareIdentify() {
		traits := b.contextTraits()
		if !jsonwalk.Object(traits).IsEmpty() {
			b.lent += len(b.context)
		}
		if b.lent > h.config.maxBytes {
			return m, errLentTooMuch
		}
		read.message.Lend(traits)
	}
	own := head.at()
	if at, ok := h.corrected(b, head); ok {
		read.message.Time, own = at, at
	}
	if m.records, m.adjustments, err = kissmetrics.Transform(read, b.received, b.source.Transform); err != nil {
		return m, err
	}
	second := m.records[0].Time
	m.timed = second.Unix() != b.received.Unix() || second.Unix() == own.Unix() && !own.Equal(b.received)
	b.identify(&m)
	return m, h.guardAlias(b.source, &m)
}

// identify sets by what a repeat of the message is known: its messageId and all that
// it says, but for when.
func (b *batch) identify(m *message) {
	if m.id == "" || len(m.records) == 0 {
		return
	}
	start := m.records[0].Time
	var room [3]kissmetrics.Record // for most, so that nothing is allocated
	timeless := append(room[:0], m.records...)
	for i := range timeless {
		if t := &timeless[i].Time; !t.IsZero() {
			*t = time.Unix(0, 0).Add(t.Sub(start))
		}
	}
	b.own = [...]kissmetrics.Property{{Value: b.source.Name}, {Value: m.id}}
	sum := kissmetrics.RepeatKey(append(timeless, kissmetrics.Record{Properties: b.own[:]}))
	copy(m.identity[:], sum[:])
}

// happened moves the records of a message so that the first has the given time.
func (m *message) happened(at time.Time) {
	by := at.Sub(m.records[0].Time)
	for i := range m.records {
		if t := &m.records[i].Time; !t.IsZero() {
			*t = t.Add(by)
		}
	}
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

// isFinal reports whether an error will be the same at a repeat.
func isFinal(err error) bool {
	return len(kissmetrics.Settle(make([]kissmetrics.Record, 1), err).Undelivered) == 0
}
