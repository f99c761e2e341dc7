package kissmetrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// ParseMessage returns the message that a JSON object in the form of the
// RudderStack and Segment SDKs stands for, as their SDKs send it (taken out of
// its batch), as it lies in a Kafka topic or a bucket, or as a row of a
// warehouse is exported.
//
// The object's type says which message it is, in any case: identify, page,
// screen, track, group or alias. It may hold userId, anonymousId, previousId
// and groupId (texts or numbers), event, name, category, properties, traits,
// and the first of timestamp, originalTimestamp, sentAt and receivedAt that is
// there. An identify without traits takes those of its context. A time is an ISO
// 8601 text, in UTC where it names no zone, or Unix seconds or milliseconds. What
// else the object holds is ignored; null is as good as absent, and so is Go's
// zero time.
//
// An object with user_id or anonymous_id, and with neither userId nor
// anonymousId, is a row of a table as RudderStack and Segment lay them out. Names
// of its columns are compared without regard to case. Such tables have no
// column for the type of a message: a row with an event is a track, with
// previous_id an alias, with group_id a group; for any other, the export must
// add a column type:
//
//	SELECT 'identify' AS type, * FROM identifies
//
// A track is named by event_text, else by event; the time is that of timestamp,
// original_timestamp, sent_at or received_at. The other columns are the
// properties or traits, but for those that the warehouse adds: id, uuid,
// uuid_ts, loaded_at, row_id, channel, and all that begin with context_, of which
// an identify takes the context_traits_ that it has no column for. A column
// products that holds JSON in a text is the list of a track's products. What the
// warehouse flattened stays flat, with underscores for dots.
//
// Numbers keep the digits they are written with. The returned message is one
// for [Transform] or [Client.Send], which check it further; it has a zero
// Timestamp if the object has no time. The error is a [*ValidationError].
//
// See https://www.rudderstack.com/docs/event-spec/standard-events/,
// https://segment.com/docs/connections/spec/ and
// https://www.rudderstack.com/docs/destinations/warehouse-destinations/warehouse-schema/.
func ParseMessage(data []byte) (Message, error) {
	var m wireMessage
	if err := decodeMessage(data, &m); err != nil {
		return nil, jsonProblem(err)
	}
	if m.UserID == nil && m.AnonymousID == nil {
		if row := warehouseRow(data); row != nil {
			return row.message()
		}
	}
	var p problems
	userID, anonymousID := wireText(&p, "userId", m.UserID), wireText(&p, "anonymousId", m.AnonymousID)
	name, category := wireText(&p, "event", m.Name), wireText(&p, "event", m.Category)
	var when time.Time
	for _, v := range [...]any{m.Timestamp, m.OriginalTimestamp, m.SentAt, m.ReceivedAt} {
		if when = wireTime(&p, v); !when.IsZero() || len(p) > 0 {
			break
		}
	}
	var message Message
	switch kind := wireText(&p, "type", m.Type); strings.ToLower(kind) {
	case "identify":
		if len(m.Traits) == 0 {
			m.Traits = m.contextTraits(&p)
		}
		message = Identify{UserID: userID, AnonymousID: anonymousID, Traits: m.Traits, Timestamp: when}
	case "page":
		message = Page{UserID: userID, AnonymousID: anonymousID, Name: name, Category: category, Properties: m.Properties, Timestamp: when}
	case "screen":
		message = Screen{UserID: userID, AnonymousID: anonymousID, Name: name, Category: category, Properties: m.Properties, Timestamp: when}
	case "track":
		message = Track{UserID: userID, AnonymousID: anonymousID, Event: wireText(&p, "event", m.Event), Properties: m.Properties, Timestamp: when}
	case "group":
		message = Group{UserID: userID, AnonymousID: anonymousID, GroupID: wireText(&p, "groupId", m.GroupID), Traits: m.Traits, Timestamp: when}
	case "alias":
		message = Alias{UserID: userID, PreviousID: wireText(&p, "previousId", m.PreviousID), Timestamp: when}
	case "":
		p.add("type", "is missing")
	default:
		p.add("type", quoted(kind)+" is none of identify, page, screen, track, group and alias")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return message, nil
}

// wireMessage is a message as the SDKs write it.
type wireMessage struct {
	Type              any             `json:"type"`
	UserID            any             `json:"userId"`
	AnonymousID       any             `json:"anonymousId"`
	PreviousID        any             `json:"previousId"`
	GroupID           any             `json:"groupId"`
	Event             any             `json:"event"`
	Name              any             `json:"name"`
	Category          any             `json:"category"`
	Properties        Properties      `json:"properties"`
	Traits            Properties      `json:"traits"`
	Context           json.RawMessage `json:"context"`
	Timestamp         any             `json:"timestamp"`
	OriginalTimestamp any             `json:"originalTimestamp"`
	SentAt            any             `json:"sentAt"`
	ReceivedAt        any             `json:"receivedAt"`
}

// contextTraits returns the traits that the SDKs of devices put into the
// context.
func (m *wireMessage) contextTraits(p *problems) Properties {
	var context struct {
		Traits Properties `json:"traits"`
	}
	if len(m.Context) == 0 || m.Context[0] != '{' {
		return nil
	}
	if decodeJSON(m.Context, &context) != nil {
		p.add("property", "the traits of the context are not an object")
	}
	return context.Traits
}

// wireText returns a text, or a number as its decimal text.
func wireText(p *problems, field string, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		if plain, ok := plainNumber(string(v)); ok {
			return plain
		}
	}
	p.add(field, "is neither a text nor a number")
	return ""
}

// wireTime returns a time, or the zero time where there is none.
func wireTime(p *problems, v any) time.Time {
	switch v := v.(type) {
	case nil:
		return time.Time{}
	case string:
		if v == "" {
			return time.Time{}
		}
		for _, layout := range []string{
			time.RFC3339, // takes fractions of a second too, as all of these do
			"2006-01-02T15:04:05Z0700",
			"2006-01-02T15:04:05",
			"2006-01-02 15:04:05Z07:00",
			"2006-01-02 15:04:05 UTC", // an abbreviation of another zone would mean what the machine takes it for
			"2006-01-02 15:04:05 Z0700",
			"2006-01-02 15:04:05Z07",
			"2006-01-02 15:04:05",
			time.DateOnly,
		} {
			if t, err := time.Parse(layout, v); err == nil {
				return t
			}
		}
	case json.Number:
		// Seconds reach 10¹¹ in the year 5138, milliseconds did in 1973.
		const seconds = 1e11
		if n, err := v.Float64(); err == nil && n > 0 && n < seconds {
			return time.Unix(int64(n), 0)
		} else if err == nil && n >= seconds && n < seconds*1e6 {
			return time.UnixMilli(int64(n))
		}
	}
	p.add("timestamp", "is not an ISO 8601 time")
	return time.Time{}
}

// decodeJSON decodes the one JSON value that data holds, with numbers as they
// are written.
func decodeJSON(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return &json.SyntaxError{Offset: decoder.InputOffset()}
	}
	return nil
}

// jsonProblem returns the error of a message that could not be decoded, which
// does not quote it.
func jsonProblem(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return &ValidationError{Field: "message", Reason: "is not a JSON object"}
		}
		return &ValidationError{Field: "property", Reason: wrong.Field + " is not a JSON object"}
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &ValidationError{Field: "message", Reason: "is not JSON, as of byte " + strconv.FormatInt(syntax.Offset, 10)}
	}
	return &ValidationError{Field: "message", Reason: "is not JSON: it ends too early"}
}

// Excluded reports whether a message, in the JSON form that [ParseMessage] reads,
// is not for Kissmetrics: its integrations say "Kissmetrics": false, or "All":
// false and nothing else about Kissmetrics. A pipeline asks this before it
// transforms a message, as package collect does.
func Excluded(data []byte) bool {
	var m struct {
		Integrations map[string]any `json:"integrations"`
	}
	if decodeJSON(data, &m) != nil {
		return false
	}
	all := true
	for name, v := range m.Integrations {
		on, isSwitch := v.(bool)
		switch {
		case strings.EqualFold(name, "Kissmetrics"):
			return isSwitch && !on
		case strings.EqualFold(name, "All") && isSwitch:
			all = on
		}
	}
	return !all
}
