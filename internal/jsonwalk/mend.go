package jsonwalk

import "bytes"

// Mend returns data with what many encoders write, although JSON does not have it,
// as JSON; ok is false where there is nothing of it. It mends a byte order mark at
// the beginning (.NET), the numbers NaN and Infinity (Python, Ruby, .NET), which
// become 1e999999999 and so stay numbers that nobody can use, and control characters
// in texts (PHP), which become escapes.
func Mend(data []byte) (mended []byte, ok bool) {
	data, ok = bytes.CutPrefix(data, []byte("\ufeff"))
	mended = make([]byte, 0, len(data)+len(data)/8)
	for i := 0; i < len(data); {
		length, changed := 1, false
		switch c := data[i]; c {
		case '"':
			mended, length, changed = mendText(mended, data[i:])
		case 'N', 'I':
			mended, length, changed = mendNumber(mended, data[i:])
		default:
			mended = append(mended, c)
		}
		i += length
		ok = ok || changed
	}
	return mended, ok
}

// mendNumber appends the number whose name data begins with, or else its first byte.
func mendNumber(dst, data []byte) (mended []byte, length int, changed bool) {
	for _, name := range []string{"NaN", "Infinity"} {
		if bytes.HasPrefix(data, []byte(name)) {
			return append(dst, "1e999999999"...), len(name), true
		}
	}
	return append(dst, data[0]), 1, false
}

// mendText appends the text that data begins with. The length is that in data.
func mendText(dst, data []byte) (mended []byte, length int, changed bool) {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 1; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			return append(dst, '"'), i + 1, changed
		case c == '\\' && i+1 < len(data) && data[i+1] >= ' ':
			i++
			dst = append(dst, c, data[i])
		case c == '\\': // before a control character
			dst = append(dst, c, c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			changed = true
		default:
			dst = append(dst, c)
		}
	}
	return dst, len(data), changed
}
