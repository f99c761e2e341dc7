package jsonwalk

import "encoding/json"

// shared is how many bytes of JSON the texts of one value may be parts of, all
// together. It costs one allocation, and keeps the whole as long as any of its parts.
const shared = 4 << 10

// A decoder makes Go values of what is known to be JSON.
type decoder struct {
	data []byte
	text string // the same, if the texts of values are to be parts of it
	at   int    // how much of data is read
}

// value returns the value that data begins with, which lies at the given depth, and its
// length.
func value(data []byte, depth int) (any, int) {
	var length, members int
	if c := data[0]; c == '{' || c == '[' {
		length, members = nestedEnd(data)
	} else {
		length = valueEnd(data)
	}
	d := newDecoder(data[:length])
	return d.value(depth, members), length
}

func newDecoder(data []byte) decoder {
	d := decoder{data: data}
	if len(data) <= shared {
		d.text = string(data)
	}
	return d
}

// value reads the next value, which lies at the given depth. members is how many
// members it has, or 0 if that is not known.
func (d *decoder) value(depth, members int) any {
	switch c := d.data[d.at]; {
	case c != '{' && c != '[':
		return d.scalar()
	case depth == MaxDepth:
		d.at += valueEnd(d.data[d.at:])
		return nil
	case c == '[':
		return d.list(depth+1, members)
	}
	return d.object(depth+1, members)
}

// list reads a list whose elements lie at the given depth.
func (d *decoder) list(depth, members int) any {
	list := make([]any, 0, members)
	for d.begin(); d.data[d.at] != ']'; d.separator() {
		list = append(list, d.value(depth, 0))
	}
	d.at++
	return list
}

// object reads an object whose members lie at the given depth.
func (d *decoder) object(depth, members int) any {
	object := make(map[string]any, members)
	for d.begin(); d.data[d.at] != '}'; d.separator() {
		name := d.string()
		d.separator()
		object[name] = d.value(depth, 0)
	}
	d.at++
	return object
}

// begin reads the bracket of a list or object.
func (d *decoder) begin() {
	d.at++
	d.at += space(d.data[d.at:])
}

func (d *decoder) separator() { d.at += separator(d.data[d.at:]) }

// scalar reads a text, number or word.
func (d *decoder) scalar() any {
	switch d.data[d.at] {
	case '"':
		return d.string()
	case 't':
		d.at += len("true")
		return true
	case 'f':
		d.at += len("false")
		return false
	case 'n':
		d.at += len("null")
		return nil
	}
	return json.Number(d.raw())
}

// raw reads a value, and returns it as it is written.
func (d *decoder) raw() string {
	begin := d.at
	d.at += valueEnd(d.data[begin:])
	return d.cut(begin, d.at)
}

// string reads a text, and returns what it stands for.
func (d *decoder) string() string {
	begin := d.at
	d.at += textEnd(d.data[begin:])
	if value := d.data[begin:d.at]; !isPlain(value) {
		return string(unescape(value))
	}
	return d.cut(begin+1, d.at-1)
}

// cut returns a part of the data.
func (d *decoder) cut(from, to int) string {
	if d.text != "" {
		return d.text[from:to]
	}
	return string(d.data[from:to])
}
