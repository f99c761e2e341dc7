package kissmetrics

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// decodeMessage is decodeJSON for a message, at less than half of its cost for
// messages as SDKs write them. What is not quite like that, it leaves to
// decodeJSON: that alone decides what is wrong, and what is odd.
func decodeMessage(data []byte, m *wireMessage) error {
	d := decoder{data: data}
	if d.message(m) {
		return nil
	}
	*m = wireMessage{}
	return decodeJSON(data, m)
}

// decodeObject is decodeJSON for any object, in the same way.
func decodeObject(data []byte, m *map[string]any) error {
	d := decoder{data: data}
	v, ok := d.value(false)
	d.space()
	if object, isObject := v.(map[string]any); ok && isObject && d.i == len(data) {
		*m = object
		return nil
	}
	return decodeJSON(data, m)
}

// A decoder reads JSON as encoding/json does with UseNumber, or gives up.
type decoder struct {
	data  []byte
	i     int // what is read next
	depth int
}

// message reads a whole message.
func (d *decoder) message(m *wireMessage) bool {
	seen := 0 // of a member that occurs twice, encoding/json makes one
	ok := d.members(func(name []byte) bool {
		var field *any
		bit := 0
		switch string(name) {
		case "type":
			field, bit = &m.Type, 1<<0
		case "userId":
			field, bit = &m.UserID, 1<<1
		case "anonymousId":
			field, bit = &m.AnonymousID, 1<<2
		case "previousId":
			field, bit = &m.PreviousID, 1<<3
		case "groupId":
			field, bit = &m.GroupID, 1<<4
		case "event":
			field, bit = &m.Event, 1<<5
		case "name":
			field, bit = &m.Name, 1<<6
		case "category":
			field, bit = &m.Category, 1<<7
		case "timestamp":
			field, bit = &m.Timestamp, 1<<8
		case "originalTimestamp":
			field, bit = &m.OriginalTimestamp, 1<<9
		case "sentAt":
			field, bit = &m.SentAt, 1<<10
		case "receivedAt":
			field, bit = &m.ReceivedAt, 1<<11
		case "properties":
			bit = 1 << 12
		case "traits":
			bit = 1 << 13
		case "context":
			bit = 1 << 14
		default:
			if isFieldName(name) {
				return false
			}
			_, ok := d.value(true)
			return ok
		}
		if seen&bit != 0 {
			return false
		}
		seen |= bit
		var ok bool
		switch {
		case field != nil:
			*field, ok = d.value(false)
		case bit == 1<<12:
			m.Properties, ok = d.properties()
		case bit == 1<<13:
			m.Traits, ok = d.properties()
		default:
			start := d.i
			if _, ok = d.value(true); ok {
				m.Context = bytes.Clone(d.data[start:d.i]) // as encoding/json does
			}
		}
		return ok
	})
	d.space()
	return ok && d.i == len(d.data)
}

// isFieldName reports whether encoding/json takes a name for that of a field,
// although it is not spelled so.
func isFieldName(name []byte) bool {
	for _, field := range [...]string{"type", "userId", "anonymousId", "previousId", "groupId", "event", "name", "category",
		"timestamp", "originalTimestamp", "sentAt", "receivedAt", "properties", "traits", "context"} {
		if strings.EqualFold(string(name), field) {
			return true
		}
	}
	return false
}

// properties reads an object, or null.
func (d *decoder) properties() (Properties, bool) {
	v, ok := d.value(false)
	if m, isObject := v.(map[string]any); isObject {
		return m, ok
	}
	return nil, ok && v == nil
}

// next returns the next byte that is no white space, without reading it.
func (d *decoder) next() byte {
	d.space()
	if d.i < len(d.data) {
		return d.data[d.i]
	}
	return 0
}

func (d *decoder) space() {
	for d.i < len(d.data) && (d.data[d.i] == ' ' || d.data[d.i] == '\n' || d.data[d.i] == '\t' || d.data[d.i] == '\r') {
		d.i++
	}
}

// members reads an object, whose values member reads.
func (d *decoder) members(member func(name []byte) bool) bool {
	const maxLevels = 1000 // encoding/json gives up at 10,000
	if d.depth++; d.depth > maxLevels || d.next() != '{' {
		return false
	}
	defer func() { d.depth-- }()
	d.i++
	if d.next() == '}' {
		d.i++
		return true
	}
	for {
		if d.next() != '"' {
			return false
		}
		name, plain := d.plain()
		if !plain || d.next() != ':' {
			return false
		}
		d.i++
		d.space()
		if !member(name) {
			return false
		}
		switch d.next() {
		case ',':
			d.i++
		case '}':
			d.i++
			return true
		default:
			return false
		}
	}
}

// value reads a value. Where it is only skipped, nothing is made of it.
func (d *decoder) value(skip bool) (any, bool) {
	switch c := d.next(); c {
	case '"':
		if plain, ok := d.plain(); ok {
			if skip {
				return nil, true
			}
			return string(plain), true
		}
		return d.text()
	case '{':
		var m map[string]any
		if !skip {
			m = make(map[string]any)
		}
		ok := d.members(func(name []byte) bool {
			v, ok := d.value(skip)
			if !skip {
				m[string(name)] = v
			}
			return ok
		})
		return m, ok
	case '[':
		return d.list(skip)
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	}
	start := d.i
	if !d.number() {
		return nil, false
	}
	if skip {
		return nil, true
	}
	return json.Number(d.data[start:d.i]), true
}

func (d *decoder) list(skip bool) (any, bool) {
	const maxLevels = 1000
	if d.depth++; d.depth > maxLevels {
		return nil, false
	}
	defer func() { d.depth-- }()
	list := []any{}
	d.i++
	if d.next() == ']' {
		d.i++
		return list, true
	}
	for {
		v, ok := d.value(skip)
		if !ok {
			return nil, false
		}
		if !skip {
			list = append(list, v)
		}
		switch d.next() {
		case ',':
			d.i++
		case ']':
			d.i++
			return list, true
		default:
			return nil, false
		}
	}
}

func (d *decoder) word(word string) bool {
	if !bytes.HasPrefix(d.data[d.i:], []byte(word)) {
		return false
	}
	d.i += len(word)
	return true
}

// plain reads a text that stands for itself. It reads nothing of any other.
func (d *decoder) plain() ([]byte, bool) {
	start, beyondASCII := d.i+1, false
	for i := start; i < len(d.data); i++ {
		switch c := d.data[i]; {
		case c == '"':
			d.i = i + 1
			text := d.data[start:i]
			if beyondASCII && !utf8.Valid(text) {
				d.i = start - 1
				return nil, false
			}
			return text, true
		case c == '\\' || c < ' ':
			return nil, false
		case c >= utf8.RuneSelf:
			beyondASCII = true
		}
	}
	return nil, false
}

// text reads a text with escapes, or that is not UTF-8.
func (d *decoder) text() (any, bool) {
	for i := d.i + 1; i < len(d.data); i++ {
		switch d.data[i] {
		case '\\':
			i++
		case '"':
			var s string
			err := json.Unmarshal(d.data[d.i:i+1], &s)
			d.i = i + 1
			return s, err == nil
		}
	}
	return nil, false
}

// number reads a number as JSON has them.
func (d *decoder) number() bool {
	digits := func() bool {
		start := d.i
		for d.i < len(d.data) && '0' <= d.data[d.i] && d.data[d.i] <= '9' {
			d.i++
		}
		return d.i > start
	}
	peek := func() byte {
		if d.i < len(d.data) {
			return d.data[d.i]
		}
		return 0
	}
	if peek() == '-' {
		d.i++
	}
	if peek() == '0' {
		d.i++
	} else if !digits() {
		return false
	}
	if peek() == '.' {
		d.i++
		if !digits() {
			return false
		}
	}
	if c := peek(); c == 'e' || c == 'E' {
		d.i++
		if c = peek(); c == '+' || c == '-' {
			d.i++
		}
		return digits()
	}
	return true
}
