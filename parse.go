package kissmetrics

import (
	"errors"
	"fmt"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
	"github.com/kissmetrics-go/kissmetrics/internal/wire"
)

// ParseMessage returns the message that a JSON object in the form of the
// RudderStack and Segment SDKs stands for: as their SDKs send it (taken out of
// its batch), as it lies in a Kafka topic or a bucket, or as a row of a
// warehouse is exported.
//
// The object's type says which message it is, in any case: identify, page,
// screen, track, group or alias. Other members count only for the types that use
// them:
//
//   - userId and anonymousId, previousId (alias), groupId (group): texts, or
//     numbers, which are written in plain decimal. An anonymousId matters only
//     where there is no userId. The number 0 is no userId beside an anonymousId.
//     An alias without a previousId has its anonymousId for one.
//   - event (track), name and category (page, screen): texts or numbers. Neither
//     false nor the number 0 is a name or a category. A page without a name has
//     the property "name" for one; a screen has the event, then that property.
//   - properties (page, screen, track), traits (identify, group): objects. An
//     identify without traits takes those of its context.
//   - timestamp, originalTimestamp, sentAt, receivedAt: the first that can be read
//     and is not before 2009, when Kissmetrics began.
//
// The names of members must match exactly, and the last of several with one name
// counts. Null and an empty text are as good as absent; so are an empty list in
// place of an object, which PHP writes, and the zero times of Go and .NET.
//
// A time is any form of ISO 8601 or RFC 3339 that means one instant, the text of
// RFC 1123, RFC 850, ANSI C, JavaScript's Date or the like with the month in
// English, or a number of seconds, milliseconds, microseconds or nanoseconds since
// 1970, as a number or a text. It is in UTC if it names no zone. A zone is an
// offset, UTC, GMT, or one of the zones of the United States that RFC 822 names;
// other abbreviations have several meanings. The 12-hour clock is understood if
// there is a date, and so are the digits of any script. A date in numbers must
// begin with the year.
//
// An object with user_id or anonymous_id in any case, with neither userId nor
// anonymousId, and without an object for properties or context, is a row of a table
// as RudderStack and Segment lay them out. Names of its columns are compared without
// regard to case. Such tables have no column for the type of a message: a row with an
// event is a track, with previous_id an alias, with group_id a group; for any other,
// the export must add a column type:
//
//	SELECT 'identify' AS type, * FROM identifies
//
// A track is named by event_text, else by event; the time is that of timestamp,
// original_timestamp, sent_at or received_at. The other columns are the
// properties or traits, but for those that the warehouse adds: id, uuid,
// uuid_ts, loaded_at, row_id, channel, and all that begin with context_. But an
// identify takes context_traits_plan for its trait plan if it has no column plan. A
// column products that holds JSON in a text is the list of a track's products. What
// the warehouse flattened stays flat, with underscores for dots. In an object that
// is not a row, the columns of identities and times count where the members
// themselves are missing.
//
// Numbers keep the digits they are written with. Three things are read although
// JSON does not have them, because programs write them: a byte order mark at the
// beginning, control characters in texts, and NaN and Infinity, which are values
// that cannot be sent.
//
// The returned message is meant for [Transform] or [Client.SendMessage], which check
// it further. It has a zero Timestamp if no time can be read. It remembers what was
// left out, which Transform tells as adjustments, and the message's other times,
// which Transform uses if the first turns out to be impossible.
//
// The error is a [*ValidationError]: the data is not a JSON object, or its type is
// missing or unknown.
//
// See https://www.rudderstack.com/docs/event-spec/standard-events/,
// https://segment.com/docs/connections/spec/ and
// https://www.rudderstack.com/docs/destinations/warehouse-destinations/warehouse-schema/.
func ParseMessage(data []byte) (Message, error) {
	m, err := wire.Parse(data)
	if err != nil {
		return nil, jsonProblem(err)
	}
	memory := remember(&m)
	switch m.Type {
	case "identify":
		return Identify{m.UserID, m.AnonymousID, m.Properties, m.Time, memory}, nil
	case "page":
		return Page{m.UserID, m.AnonymousID, m.Name, m.Category, m.Properties, m.Time, memory}, nil
	case "screen":
		return Screen{m.UserID, m.AnonymousID, m.Name, m.Category, m.Properties, m.Time, memory}, nil
	case "track":
		return Track{m.UserID, m.AnonymousID, m.Name, m.Properties, m.Time, memory}, nil
	case "group":
		return Group{m.UserID, m.AnonymousID, m.GroupID, m.Properties, m.Time, memory}, nil
	default:
		return Alias{m.UserID, m.PreviousID, m.Time, memory}, nil
	}
}

// Excluded reports whether a message, in the form of the SDKs, says by its
// integrations that it is not for Kissmetrics. A pipeline should ask before it sends
// one: neither [ParseMessage] nor [Transform] does.
//
// The integrations are an object with the names of destinations, compared without
// regard to spaces, punctuation and case ("Kiss Metrics" is RudderStack's own name),
// and "All" for any that is not named. True and false count, also as texts or as the
// numbers 1 and 0; settings, an object that is not empty, mean yes. Anything else says
// nothing. Neither a message that says nothing nor data that is no message is
// excluded.
func Excluded(data []byte) bool { return wire.Excluded(data) }

// A wireMessage is a message that was read but not taken apart into maps. Package
// collect has one, which comes with room for its records and for their properties.
// Nobody outside of this module can name its type.
type wireMessage interface {
	Wire() (message *wire.Message, records []Record, properties []Property)
}

// wire is message for a wireMessage.
func (t *transformer) wire(m *wire.Message, records []Record, properties []Property) []Record {
	t.object, t.records, t.room = m.Object, records[:0], properties[:0]
	memory := remember(m)
	switch m.Type {
	case "identify":
		return t.identify(Identify{m.UserID, m.AnonymousID, m.Properties, m.Time, memory})
	case "page":
		return t.view(view{m.UserID, m.AnonymousID, m.Name, m.Category, m.Properties, m.Time, memory}, "Page")
	case "screen":
		return t.view(view{m.UserID, m.AnonymousID, m.Name, m.Category, m.Properties, m.Time, memory}, "Screen")
	case "track":
		return t.track(Track{m.UserID, m.AnonymousID, m.Name, m.Properties, m.Time, memory})
	case "group":
		return t.group(Group{m.UserID, m.AnonymousID, m.GroupID, m.Properties, m.Time, memory})
	default:
		return t.alias(Alias{m.UserID, m.PreviousID, m.Time, memory})
	}
}

// remember returns what Transform has to know of how a message was read, or nil.
func remember(m *wire.Message) *parsed {
	if len(m.Problems) == 0 && len(m.Earlier) == 0 {
		return nil
	}
	memory := &parsed{times: m.Earlier}
	for _, problem := range m.Problems {
		memory.adjustments = append(memory.adjustments, Adjustment{Field: problem.Field, Kind: adjustmentKind(problem.Kind)})
	}
	return memory
}

func adjustmentKind(kind wire.Kind) AdjustmentKind {
	switch kind {
	case wire.NoIdentity:
		return AdjustedIdentity
	case wire.NoObject:
		return AdjustedShape
	case wire.NoTime:
		return AdjustedTime
	default: // wire.NoText
		return AdjustedValueDropped
	}
}

// jsonProblem returns the error of data that could not be read, which does not
// quote it.
func jsonProblem(err error) error {
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		return &ValidationError{Field: refused.Field, Reason: refused.Reason}
	}
	reason := "is not JSON"
	if broken, ok := errors.AsType[*jsonwalk.Error](err); ok {
		reason = fmt.Sprintf("is not JSON, as of byte %d", broken.Offset)
	}
	return &ValidationError{Field: "message", Reason: reason}
}
