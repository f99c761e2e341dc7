package collect

import (
	"bytes"
	"encoding/json"
)

// The functions here take a body apart without decoding it: they find where the
// members of an object and the elements of a list begin and end. Whether these
// are valid JSON in themselves is for their decoding to find out.

// members calls visit for every member of the object that data holds, and
// reports whether it is one. The name is in lower case, for encoding/json takes
// names for the same in any case.
func members(data []byte, visit func(name string, value []byte)) bool {
	i := space(data, 0)
	if at(data, i) != '{' {
		return false
	}
	i = space(data, i+1)
	if at(data, i) == '}' {
		return space(data, i+1) == len(data)
	}
	for {
		if at(data, i) != '"' {
			return false
		}
		end := skip(data, i)
		if end < 0 {
			return false
		}
		name := data[i:end]
		i = space(data, end)
		if at(data, i) != ':' {
			return false
		}
		i = space(data, i+1)
		end = skip(data, i)
		if end < 0 {
			return false
		}
		visit(memberName(name), data[i:end])
		i = space(data, end)
		switch at(data, i) {
		case ',':
			i = space(data, i+1)
		case '}':
			return space(data, i+1) == len(data)
		default:
			return false
		}
	}
}

// elements returns the elements of the list that data holds, up to one more than
// most, and whether it is one.
func elements(data []byte, most int) (list [][]byte, ok bool) {
	i := space(data, 0)
	if at(data, i) != '[' {
		return nil, false
	}
	i = space(data, i+1)
	if at(data, i) == ']' {
		return nil, space(data, i+1) == len(data)
	}
	for len(list) <= most {
		end := skip(data, i)
		if end < 0 {
			return nil, false
		}
		list = append(list, data[i:end])
		i = space(data, end)
		switch at(data, i) {
		case ',':
			i = space(data, i+1)
		case ']':
			return list, space(data, i+1) == len(data)
		default:
			return nil, false
		}
	}
	return list, true
}

// at returns a byte, or zero behind the last.
func at(data []byte, i int) byte {
	if i < len(data) {
		return data[i]
	}
	return 0
}

// space returns where the white space that begins at i ends.
func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// skip returns where the value that begins at i ends, or -1 where none does.
func skip(data []byte, i int) int {
	switch at(data, i) {
	case '"':
		return skipText(data, i)
	case '{', '[':
		for depth := 0; i < len(data); i++ {
			switch data[i] {
			case '"':
				if i = skipText(data, i) - 1; i < 0 {
					return -1
				}
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	end := i
	for end < len(data) && bytes.IndexByte([]byte(",:]}[{\" \n\t\r"), data[end]) < 0 {
		end++
	}
	if end == i {
		return -1
	}
	return end
}

// skipText returns where the text whose quote is at i ends, or -1.
func skipText(data []byte, i int) int {
	for end := i + 1; ; end++ {
		quote := bytes.IndexByte(data[end:], '"')
		if quote < 0 {
			return -1
		}
		end += quote
		escapes := 0
		for data[end-1-escapes] == '\\' { // ends at the first quote
			escapes++
		}
		if escapes%2 == 0 {
			return end + 1
		}
	}
}

// memberName returns the name of a member in lower case, and an empty one where
// it is none that is looked for.
func memberName(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		var name string
		if json.Unmarshal(quoted, &name) != nil {
			return ""
		}
		quoted = []byte(`"` + name + `"`)
	}
	const longest = len("originalTimestamp")
	if len(quoted)-2 > longest {
		return ""
	}
	var lower [longest]byte
	n := copy(lower[:], quoted[1:len(quoted)-1])
	for i := range n {
		if c := lower[i]; 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	switch name := lower[:n]; string(name) { // constants, so that no name is allocated
	case "batch":
		return "batch"
	case "context":
		return "context"
	case "integrations":
		return "integrations"
	case "sentat":
		return "sentat"
	case "writekey":
		return "writekey"
	case "messageid":
		return "messageid"
	case "type":
		return "type"
	case "userid":
		return "userid"
	case "anonymousid":
		return "anonymousid"
	case "previousid":
		return "previousid"
	case "groupid":
		return "groupid"
	case "event":
		return "event"
	case "name":
		return "name"
	case "timestamp":
		return "timestamp"
	case "originaltimestamp":
		return "originaltimestamp"
	}
	return ""
}

// text returns the text that a value is, and an empty one for any other value.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// given reports whether a value says anything.
func given(value []byte) bool {
	return len(value) > 0 && string(value) != "null" && string(value) != `""`
}

// givenTime is given for a time; Go's zero time says nothing either.
func givenTime(value []byte) bool {
	return given(value) && !bytes.HasPrefix(value, []byte(`"0001-01-01T00:00:00`))
}
