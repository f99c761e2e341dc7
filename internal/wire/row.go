package wire

import (
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// isPerson reports whether a column names a person.
func isPerson(column []byte) bool {
	switch len(column) {
	case len("user_id"):
		return strings.EqualFold(string(column), "user_id")
	case len("anonymous_id"):
		return strings.EqualFold(string(column), "anonymous_id")
	}
	return false
}

// isRow reports whether what was read is a row of a warehouse. A message that only
// names its identities as a warehouse does has objects, which a row never has.
func (f *Fields) isRow() bool {
	return f.columns.person && f.userID.kind() == 'n' && f.anonymousID.kind() == 'n' && !f.properties.nests() && f.Context.kind() != '{'
}

// A table is a row: its columns as they are named, and these names by their lower
// case.
type table struct {
	columns map[string]Value
	names   map[string]string
}

// row reads a row.
func row(data jsonwalk.Object) (Message, error) {
	t := table{columns: map[string]Value{}, names: map[string]string{}}
	data.Each(func(name, v []byte) { t.columns[string(name)] = v })
	for name := range t.columns {
		lower := strings.ToLower(name)
		if other, ok := t.names[lower]; !ok || name < other { // always the same one of several
			t.names[lower] = name
		}
	}
	kind := t.kind()
	if kind == "" {
		return Message{}, &Error{Field: "type", Reason: "is missing, and the columns of the row do not tell it"}
	}
	f := Fields{
		Type:   Value(`"` + kind + `"`),
		userID: t.value("user_id"), anonymousID: t.value("anonymous_id"), previousID: t.value("previous_id"), groupID: t.value("group_id"),
		event: t.value("event_text", "event"), name: t.value("name"), category: t.value("category"), properties: Value(data),
		Timestamp: t.instant("timestamp"), OriginalTimestamp: t.instant("original_timestamp"), SentAt: t.instant("sent_at"), ReceivedAt: t.instant("received_at"),
	}
	m, err := f.message()
	m.Object = nil
	switch kind {
	case "identify":
		if traits := t.traits(); len(traits) > 0 {
			m.Properties = traits
		}
	case "track":
		m.Properties = t.event()
	case "group":
		m.Properties = t.properties("group_id")
	case "page", "screen":
		m.Properties = t.properties()
	}
	return m, err
}

// value returns the first of some columns that says something, or nil.
func (t *table) value(names ...string) Value {
	for _, name := range names {
		if column, ok := t.names[name]; ok && !t.columns[column].isAbsent() {
			return t.columns[column]
		}
	}
	return nil
}

func (t *table) instant(name string) Instant { return Instant{Value: t.value(name)} }

// kind returns the type of message that the row is of, or an empty text. A track may
// have a property named type, so that column is asked last where another tells.
func (t *table) kind() string {
	switch kind := typeNamed(t.value("type").text()); {
	case t.value("event_text") != nil:
		return "track"
	case kind != "":
		return kind
	case t.value("event") != nil:
		return "track"
	case t.value("previous_id") != nil:
		return "alias"
	case t.value("group_id") != nil:
		return "group"
	}
	return ""
}

// properties returns the columns that are not the warehouse's own, nor named.
func (t *table) properties(but ...string) map[string]any {
	properties := make(map[string]any, len(t.columns))
	for name, v := range t.columns {
		lower := strings.ToLower(name)
		if v.kind() != 'n' && !t.isOwn(lower) && (name != t.names[lower] || !slices.Contains(but, lower)) {
			properties[name] = jsonwalk.Decode(v)
		}
	}
	return properties
}

// isOwn reports whether a column, in lower case, is one that the warehouse adds.
func (t *table) isOwn(lower string) bool {
	switch lower {
	case "id", "user_id", "anonymous_id", "channel", "row_id", "uuid", "uuid_ts", "loaded_at",
		"timestamp", "original_timestamp", "sent_at", "received_at":
		return true
	case "type":
		return t.typed()
	}
	return strings.HasPrefix(lower, "context_")
}

// typed reports whether the column type says what the row is.
func (t *table) typed() bool {
	return strings.EqualFold(t.value("type").text(), t.kind())
}

// traits returns the properties of a row of identifies, and those of its context
// that it has no column for.
func (t *table) traits() map[string]any {
	const prefix = "context_traits_"
	traits := t.properties()
	for lower, name := range t.names {
		if trait, ok := strings.CutPrefix(lower, prefix); ok && trait != "" && t.value(trait) == nil {
			if v := t.columns[name]; v.kind() != 'n' {
				traits[name[len(prefix):]] = jsonwalk.Decode(v)
			}
		}
	}
	return traits
}

// event returns the properties of a row of a track. A list of products is there as
// the text of its JSON.
func (t *table) event() map[string]any {
	const products = "products"
	properties := t.properties("event", "event_text")
	name, hasProducts := t.names[products]
	if text, ok := properties[name].(string); ok && hasProducts && strings.HasPrefix(text, "[") {
		if list, err := jsonwalk.Value([]byte(text)); err == nil {
			delete(properties, name)
			properties[products] = list
		}
	}
	return properties
}
