package jsonwalk

import (
	"encoding/json"
	"unicode/utf8"
)

// shared is how many bytes of JSON the texts of one value may be parts of, all
// together. It costs one allocation, and keeps the whole as long as any of its parts.
const shared = 4 << 10

// A decoder makes Go values of what is known to be JSON.
type decoder struct{ depth int }

// value returns the value that data begins with, and its length.
func (d *decoder) value(data []byte) (any, int) {
	switch data[0] {
	case '{', '[':
		length, members := nestedEnd(data)
		if d.depth == MaxDepth {
			return nil, length
		}
		if length <= shared {
			v, _ := decode(string(data[:length]), members, d.depth)
			return v, length
		}
		v, _ := decode(data[:length], members, d.depth)
		return v, length
	}
	return scalar(data)
}

// A source is JSON. The texts of values are parts of it if it is a string, and copies
// otherwise.
type source interface{ string | []byte }

// decode returns the list or object that data begins with, and its length. members is
// how many it has, or 0 if that is not known.
func decode[S source](data S, members, depth int) (any, int) {
	at := 1 + space(data[1:])
	if data[0] == '[' {
		list := make([]any, 0, members)
		for data[at] != ']' {
			v, length := element(data[at:], depth+1)
			at += length
			at += separator(data[at:])
			list = append(list, v)
		}
		return list, at + 1
	}
	object := make(map[string]any, members)
	for data[at] != '}' {
		end := at + textEnd(data[at:])
		name := text(data[at:end])
		at = end + separator(data[end:])
		v, length := element(data[at:], depth+1)
		at += length
		at += separator(data[at:])
		object[name] = v
	}
	return object, at + 1
}

// element returns the value that data begins with, which lies at the given depth.
func element[S source](data S, depth int) (any, int) {
	switch {
	case data[0] != '{' && data[0] != '[':
		return scalar(data)
	case depth == MaxDepth:
		length, _ := nestedEnd(data)
		return nil, length
	}
	return decode(data, 0, depth)
}

// scalar returns the text, number or word that data begins with, and its length.
func scalar[S source](data S) (any, int) {
	end := valueEnd(data)
	switch data[0] {
	case '"':
		return text(data[:end]), end
	case 't':
		return true, end
	case 'f':
		return false, end
	case 'n':
		return nil, end
	}
	return json.Number(data[:end]), end
}

// text returns what a JSON text stands for.
func text[S source](quoted S) string {
	inner, isASCII := quoted[1:len(quoted)-1], true
	for i := range len(inner) {
		if c := inner[i]; c == '\\' {
			return string(Unquote([]byte(quoted)))
		} else if c >= utf8.RuneSelf {
			isASCII = false
		}
	}
	if s := string(inner); isASCII || utf8.ValidString(s) {
		return s
	}
	return string(Unquote([]byte(quoted)))
}
