// Package query escapes text for a query string or a form, appending to a
// buffer where net/url returns a new string for every name and value.
package query

const upperHex = "0123456789ABCDEF"

// unreserved holds true for the bytes that stand for themselves in the
// component of a query (RFC 3986, section 2.3), as [net/url.QueryEscape] has it.
var unreserved = func() (t [256]bool) {
	for c := range 256 {
		b := byte(c)
		t[c] = 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
			b == '-' || b == '_' || b == '.' || b == '~'
	}
	return t
}()

// AppendEscaped appends s to dst, escaped exactly as [net/url.QueryEscape]
// does, and returns the extended buffer.
func AppendEscaped(dst []byte, s string) []byte {
	start := 0
	for i := range len(s) {
		c := s[i]
		if unreserved[c] {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		if c == ' ' {
			dst = append(dst, '+')
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return append(dst, s[start:]...)
}

// AppendPair appends name=value to dst, both escaped, after an ampersand where
// dst already holds a pair.
func AppendPair(dst []byte, name, value string) []byte {
	if len(dst) > 0 {
		dst = append(dst, '&')
	}
	dst = AppendEscaped(dst, name)
	dst = append(dst, '=')
	return AppendEscaped(dst, value)
}
