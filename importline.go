package kissmetrics

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// MarshalJSON returns the record as a line of Kissmetrics' bulk import, without
// the line's end: an object of _p, _t, _n for an event or _p2 for the other
// identity of an alias, and the properties. It is also the form to store a
// record in, since it holds no API key. A record that is not valid has none:
// the error is that of [Record.Validate].
func (r Record) MarshalJSON() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return r.appendLine(nil), nil
}

// appendLine appends the line of a record that is valid.
func (r *Record) appendLine(dst []byte) []byte {
	dst = appendText(append(dst, `{"_p":`...), r.Person)
	if !r.Time.IsZero() {
		dst = strconv.AppendInt(append(dst, `,"_t":`...), r.Time.Unix(), 10)
	}
	switch r.Kind {
	case KindEvent:
		dst = appendText(append(dst, `,"_n":`...), r.Name)
	case KindAlias:
		dst = appendText(append(dst, `,"_p2":`...), r.Name)
	}
	for i := range r.Properties {
		p := &r.Properties[i]
		dst = append(appendText(append(dst, ','), p.Name), ':')
		if p.Literal {
			dst = append(dst, p.Value...)
		} else {
			dst = appendText(dst, p.Value)
		}
	}
	return append(dst, '}')
}

// appendText appends a text as JSON.
func appendText(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	quoted, _ := json.Marshal(s) // a string cannot fail
	return append(dst, quoted...)
}

// isPlain reports whether a text stands for itself in what package json writes.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// UnmarshalJSON reads a line as MarshalJSON writes it, or as Kissmetrics' own
// export does. Values may be nested; they are flattened as [Properties] says.
// The parameters _k and _d, and what is null, are ignored. The error is one or
// several joined [*ValidationError], and then the record is left as it was.
func (r *Record) UnmarshalJSON(line []byte) error {
	v, err := jsonwalk.Value(line)
	if err != nil {
		return jsonProblem(err)
	}
	members, ok := v.(map[string]any)
	if !ok {
		return &ValidationError{Field: "message", Reason: "is not a JSON object"}
	}
	var t transformer
	read := Record{Kind: KindProperties, Person: wireText(&t.problems, "identity", members["_p"])}
	if v := members["_n"]; v != nil {
		read.Kind, read.Name = KindEvent, wireText(&t.problems, "event", v)
	}
	if v := members["_p2"]; v != nil {
		if read.Kind == KindEvent {
			t.add("type", "has both _n and _p2")
		}
		read.Kind, read.Name = KindAlias, wireText(&t.problems, "userId", v)
	}
	if v := members["_t"]; v != nil {
		whole, _, _ := strings.Cut(wireText(&t.problems, "timestamp", v), ".")
		seconds, err := strconv.ParseInt(whole, 10, 64)
		if err != nil {
			t.add("timestamp", "is not a number of seconds")
		}
		read.Time = time.Unix(seconds, 0).UTC()
	}
	t.members("", members, "", 0)
	read.Properties = t.settle()
	read.validateHead(&t.problems)
	if err := t.err(); err != nil {
		return err
	}
	*r = read
	return nil
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
