package jsonwalk

// These find their way in what is known to be JSON.

// space returns how many bytes of white space data begins with.
func space[S source](data S) int {
	for i := range len(data) {
		if data[i] > ' ' {
			return i
		}
	}
	return len(data)
}

// separator returns how many bytes stand before the next value or name, or the end of
// what holds it: white space, with one comma or colon.
func separator[S source](data S) int {
	for i := range len(data) {
		if c := data[i]; c > ' ' && c != ',' && c != ':' {
			return i
		}
	}
	return len(data)
}

// textEnd returns the length of the text that data begins with, quotes included.
func textEnd[S source](data S) int {
	for i := 1; ; i++ {
		switch data[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
}

// valueEnd returns the length of the value that data begins with.
func valueEnd[S source](data S) int {
	switch data[0] {
	case '"':
		return textEnd(data)
	case '{', '[':
		length, _ := nestedEnd(data)
		return length
	}
	for i := range len(data) {
		switch data[i] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return i
		}
	}
	return len(data)
}

// nestedEnd returns the length of the list or object that data begins with, and how
// many members it has at most.
func nestedEnd[S source](data S) (length, members int) {
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
