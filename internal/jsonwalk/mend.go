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
		switch c := data[i]; {
		case c == '"':
			end, changed := 0, false
			mended, end, changed = mendText(mended, data[i:])
			i += end
			ok = ok || changed
			continue
		case c == 'N' || c == 'I':
			if n := notFinite(data[i:]); n > 0 {
				mended = append(mended, "1e999999999"...)
				i += n
				ok = true
				continue
			}
		}
		mended = append(mended, data[i])
		i++
	}
	return mended, ok
}

// notFinite returns the length of the name of a number that data begins with.
func notFinite(data []byte) int {
	for _, name := range []string{"NaN", "Infinity"} {
		if bytes.HasPrefix(data, []byte(name)) {
			return len(name)
		}
	}
	return 0
}

// mendText appends the text that data begins with. It returns the length that this
// has in data.
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
