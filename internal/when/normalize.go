package when

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many bytes a text can have that is still looked at.
const longest = 200

// normalize returns a text with letters of one case, and with the digits, signs
// and spaces of ASCII for those of other scripts. Marks that are not seen, such as
// those of the direction of writing, are left out.
func normalize(s string) string {
	if len(s) > longest {
		return ""
	}
	plain := true
	for i := range len(s) {
		plain = plain && s[i] < utf8.RuneSelf && s[i] >= ' '
	}
	if !plain {
		s = strings.Map(ascii, s)
	}
	return strings.ToUpper(strings.Trim(s, " "))
}

// ascii returns what stands for a rune in ASCII, -1 for one that is not seen, and
// any other as it is.
func ascii(r rune) rune {
	switch r {
	case '\u2010', '\u2011', '\u2012', '\u2013', '\u2212', '\ufe63', '\uff0d':
		return '-'
	case '\uff0b':
		return '+'
	case '\u2236', '\uff1a':
		return ':'
	case '\uff0f':
		return '/'
	case '\u066b', '\uff0e': // Arabic writes a fraction so
		return '.'
	case '\u060c', '\u3001', '\uff0c':
		return ','
	}
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.Is(unicode.Cf, r):
		return -1
	case r >= utf8.RuneSelf && unicode.Is(unicode.Nd, r):
		return '0' + digit(r)
	}
	return r
}

// digit returns the value of a decimal digit of any script. Unicode keeps the ten
// of each together, from zero on, and the blocks of ten side by side.
func digit(r rune) rune {
	value := rune(-1)
	for unicode.Is(unicode.Nd, r) {
		value, r = value+1, r-1
	}
	return value % 10
}

// annotations returns a text without what may follow a time: the name of the
// region or the calendar in brackets, a comment in parentheses, and the reading of
// the monotonic clock that Go writes. The region is empty if it is UTC.
func annotations(s string) (rest, region string) {
	if at := strings.Index(s, " M="); at >= 0 {
		s = s[:at]
	}
	for {
		s = strings.TrimRight(s, " ")
		var at int
		switch {
		case strings.HasSuffix(s, ")"):
			at = strings.LastIndexByte(s, '(')
		case strings.HasSuffix(s, "]"):
			if at = strings.LastIndexByte(s, '['); at >= 0 {
				if name := s[at+1 : len(s)-1]; !isUTC(name) && !strings.Contains(name, "=") {
					region = name
				}
			}
		default:
			return s, region
		}
		if at < 0 {
			return s, region
		}
		s = s[:at]
	}
}

func isUTC(name string) bool {
	switch strings.TrimPrefix(name, "ETC/") {
	case "UTC", "GMT", "UT", "Z", "ZULU", "UCT", "UNIVERSAL", "GREENWICH":
		return true
	}
	return false
}
