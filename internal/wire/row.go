package wire

import (
	"maps"
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
func (f *fields) isRow() bool {
	return f.columns.person && f.userID == nil && f.anonymousID == nil && !nests(f.properties) && f.contextKind != '{'
}

// nests reports whether a value is an object, or the empty list that PHP writes for
// one.
func nests(v any) bool {
	list, isList := v.([]any)
	_, isObject := v.(map[string]any)
	return isObject || isList && len(list) == 0
}

// A table is a row: its columns as they are named, and these names by their lower
// case.
type table struct {
	columns map[string]any
	names   map[string]string
}

// row reads a row.
func row(data []byte) (Message, error) {
	v, err := jsonwalk.Value(data)
	if err != nil {
		return Message{}, err
	}
	t := table{columns: v.(map[string]any), names: map[string]string{}}
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
	f := fields{
		kind:   kind,
		userID: t.value("user_id"), anonymousID: t.value("anonymous_id"), previousID: t.value("previous_id"), groupID: t.value("group_id"),
		event: t.value("event_text", "event"), name: t.value("name"), category: t.value("category"),
		times: [4]any{t.value("timestamp"), t.value("original_timestamp"), t.value("sent_at"), t.value("received_at")},
	}
	switch kind {
	case "identify":
		f.traits = t.traits()
	case "track":
		f.properties = t.event()
	case "group":
		f.traits = t.properties("group_id")
	default:
		f.properties = t.properties()
	}
	return f.message()
}

// value returns the first of some columns that says something, or nil.
func (t *table) value(names ...string) any {
	for _, name := range names {
		if column, ok := t.names[name]; ok && !absent(t.columns[column]) {
			return t.columns[column]
		}
	}
	return nil
}

// kind returns the type of message that the row is of, or an empty text. A track may
// have a property named type, so that column is asked last where another tells.
func (t *table) kind() string {
	kind, _ := t.value("type").(string)
	switch kind = strings.ToLower(kind); {
	case t.value("event_text") != nil:
		return "track"
	case isType(kind):
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
	properties := maps.Clone(t.columns)
	maps.DeleteFunc(properties, func(name string, v any) bool {
		lower := strings.ToLower(name)
		switch lower {
		case "id", "user_id", "anonymous_id", "channel", "row_id", "uuid", "uuid_ts", "loaded_at",
			"timestamp", "original_timestamp", "sent_at", "received_at":
			return true
		}
		return v == nil || strings.HasPrefix(lower, "context_") || lower == "type" && t.typed() ||
			slices.Contains(but, lower) && name == t.names[lower]
	})
	return properties
}

// typed reports whether the column type says what the row is.
func (t *table) typed() bool {
	kind, _ := t.value("type").(string)
	return strings.EqualFold(kind, t.kind())
}

// traits returns the properties of a row of identifies, and those of its context
// that it has no column for.
func (t *table) traits() map[string]any {
	const prefix = "context_traits_"
	traits := t.properties()
	for lower, name := range t.names {
		if trait, ok := strings.CutPrefix(lower, prefix); ok && trait != "" && t.value(trait) == nil {
			if v := t.columns[name]; v != nil {
				traits[name[len(prefix):]] = v
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
