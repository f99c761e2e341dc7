package jsonwalk

import "bytes"

// These find their way in what is known to be JSON.

// space returns how many bytes of white space data begins with.
func space(data []byte) int {
	for i, c := range data {
		if c > ' ' {
			return i
		}
	}
	return len(data)
}

// separator returns how many bytes stand before the next value or name, or the end of
// what holds it: white space, with one comma or colon.
func separator(data []byte) int {
	for i, c := range data {
		if c > ' ' && c != ',' && c != ':' {
			return i
		}
	}
	return len(data)
}

// textEnd returns the length of the text that data begins with, quotes included.
func textEnd(data []byte) int {
	for end := 1; ; {
		end += bytes.IndexByte(data[end:], '"') + 1
		escapes := 0
		for data[end-2-escapes] == '\\' { // ends at the first quote
			escapes++
		}
		if escapes%2 == 0 {
			return end
		}
	}
}

// valueEnd returns the length of the value that data begins with.
func valueEnd(data []byte) int {
	switch data[0] {
	case '"':
		return textEnd(data)
	case '{', '[':
		length, _ := nestedEnd(data)
		return length
	}
	for i, c := range data {
		switch c {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return i
		}
	}
	return len(data)
}

// nestedEnd returns the length of the list or object that data begins with, and how
// many members it has at most.
func nestedEnd(data []byte) (length, members int) {
	depth := 0
	for i := 0; ; i++ {
		switch data[i] {
		case '"':
			i += textEnd(data[i:]) - 1
		case '{', '[':
			depth++
		case ',':
			if depth == 1 {
				members++
			}
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, members + 1
			}
		}
	}
}
