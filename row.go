package kissmetrics

import (
	"strings"
)

// A row is a row of a warehouse: its columns as they are named, and the names
// of those by their lower case.
type row struct {
	columns map[string]any
	names   map[string]string
}

// warehouseRow returns the row that a JSON object is, or nil where it is none.
func warehouseRow(data []byte) *row {
	r := row{names: map[string]string{}}
	if decodeJSON(data, &r.columns) != nil {
		return nil
	}
	for name := range r.columns {
		lower := strings.ToLower(name)
		if other, ok := r.names[lower]; !ok || name < other { // always the same one of several
			r.names[lower] = name
		}
	}
	if r.names["user_id"] == "" && r.names["anonymous_id"] == "" {
		return nil
	}
	return &r
}

// value returns the first of some columns that is not null or empty, or nil.
func (r *row) value(names ...string) any {
	for _, name := range names {
		if column, ok := r.names[name]; ok && r.columns[column] != nil && r.columns[column] != "" {
			return r.columns[column]
		}
	}
	return nil
}

// message returns the message that the row stands for.
func (r *row) message() (Message, error) {
	var p problems
	text := func(field string, columns ...string) string { return wireText(&p, field, r.value(columns...)) }
	userID, anonymousID := text("userId", "user_id"), text("anonymousId", "anonymous_id")
	when := wireTime(&p, r.value("timestamp", "original_timestamp", "sent_at", "received_at"))
	kind := r.kind()
	var message Message
	switch kind {
	case "identify":
		message = Identify{UserID: userID, AnonymousID: anonymousID, Traits: r.traits(), Timestamp: when}
	case "page":
		message = Page{UserID: userID, AnonymousID: anonymousID, Name: text("event", "name"), Category: text("event", "category"), Properties: r.properties(), Timestamp: when}
	case "screen":
		message = Screen{UserID: userID, AnonymousID: anonymousID, Name: text("event", "name"), Category: text("event", "category"), Properties: r.properties(), Timestamp: when}
	case "track":
		message = Track{UserID: userID, AnonymousID: anonymousID, Event: text("event", "event_text", "event"), Properties: r.event(), Timestamp: when}
	case "group":
		traits := r.properties()
		delete(traits, r.names["group_id"])
		message = Group{UserID: userID, AnonymousID: anonymousID, GroupID: text("groupId", "group_id"), Traits: traits, Timestamp: when}
	case "alias":
		message = Alias{UserID: userID, PreviousID: text("previousId", "previous_id"), Timestamp: when}
	default:
		p.add("type", "is missing, and the columns of the row do not tell it")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return message, nil
}

// kind returns the type of message that the row is of. A track may have a
// property named type, so that column is asked last where another tells.
func (r *row) kind() string {
	kind, _ := r.value("type").(string)
	switch kind = strings.ToLower(kind); {
	case r.value("event_text") != nil:
		return "track"
	case kind == "identify", kind == "page", kind == "screen", kind == "track", kind == "group", kind == "alias":
		return kind
	case r.value("event") != nil:
		return "track"
	case r.value("previous_id") != nil:
		return "alias"
	case r.value("group_id") != nil:
		return "group"
	}
	return ""
}

// properties returns the columns that are not the warehouse's own.
func (r *row) properties() Properties {
	properties := Properties{}
	for name, v := range r.columns {
		switch lower := strings.ToLower(name); lower {
		case "id", "user_id", "anonymous_id", "channel", "row_id", "uuid", "uuid_ts", "loaded_at",
			"timestamp", "original_timestamp", "sent_at", "received_at":
		default:
			if v != nil && !strings.HasPrefix(lower, "context_") && (lower != "type" || !r.typed()) {
				properties[name] = v
			}
		}
	}
	return properties
}

// typed reports whether the column type says what the row is.
func (r *row) typed() bool {
	kind, _ := r.value("type").(string)
	return strings.EqualFold(kind, r.kind())
}

// traits returns the properties of a row of identifies.
func (r *row) traits() Properties {
	const prefix = "context_traits_"
	traits := r.properties()
	for lower, name := range r.names {
		if trait, ok := strings.CutPrefix(lower, prefix); ok && trait != "" && r.value(trait) == nil {
			if v := r.columns[name]; v != nil {
				traits[name[len(prefix):]] = v
			}
		}
	}
	return traits
}

// event returns the properties of a row of a track.
func (r *row) event() Properties {
	properties := r.properties()
	delete(properties, r.names["event"])
	delete(properties, r.names["event_text"])
	name := r.names[productsName]
	if list, ok := properties[name].(string); ok && strings.HasPrefix(list, "[") {
		var products []any
		if decodeJSON([]byte(list), &products) == nil {
			delete(properties, name)
			properties[productsName] = products
		}
	}
	return properties
}
