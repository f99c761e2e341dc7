// Package name knows what Kissmetrics makes of names and identities: which it
// keeps, which it takes for one, and which belong to nobody.
package name

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What Kissmetrics keeps; see
// https://support.kissmetrics.io/docs/technical-notes-on-events-and-properties.
const (
	MaxChars      = 255          // characters of an identity, an event name, a property name
	MaxValueChars = 512          // characters of a property value
	Earliest      = 1230768000   // 2009-01-01T00:00:00Z in Unix seconds
	Latest        = 253402300799 // the last second of the year 9999
)

// Fold returns a name as Kissmetrics compares names: without regard to case,
// and with a space for a comma or a colon. Two names are one if their folds are
// equal.
//
// Case is that of [strings.EqualFold], so É is é, and ſ and s are one, as are
// the Kelvin sign and k, and σ and ς. A composed and a decomposed letter are
// two. Folding a fold changes nothing.
func Fold(name string) string {
	if IsFolded(name) {
		return name
	}
	return strings.Map(foldRune, name)
}

// IsFolded reports whether a name is of ASCII alone and its own fold. Two such
// names are one only if they are equal.
func IsFolded(name string) bool {
	for i := range len(name) {
		if !isFolded[name[i]] {
			return false
		}
	}
	return true
}

// isFolded holds true for the bytes of ASCII that are their own fold.
var isFolded = func() (t [256]bool) {
	for c := range rune(utf8.RuneSelf) {
		t[c] = foldRune(c) == c
	}
	return t
}()

// AppendFold appends the fold of a name to dst.
func AppendFold(dst []byte, name string) []byte {
	for _, r := range name {
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

// Same reports whether Kissmetrics takes two names for one.
func Same(a, b string) bool {
	for a != "" && b != "" {
		if c, d := a[0], b[0]; c < utf8.RuneSelf && d < utf8.RuneSelf {
			if c != d && foldRune(rune(c)) != foldRune(rune(d)) {
				return false
			}
			a, b = a[1:], b[1:]
			continue
		}
		r, n := utf8.DecodeRuneInString(a)
		s, m := utf8.DecodeRuneInString(b)
		if r != s && foldRune(r) != foldRune(s) {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return a == b
}

// FoldIdentity returns an identity as Kissmetrics compares identities: without
// regard to case.
func FoldIdentity(identity string) string {
	return strings.Map(foldCase, identity)
}

// SameIdentity reports whether Kissmetrics takes two identities for one. Blanks
// around them do not tell them apart.
func SameIdentity(a, b string) bool {
	return FoldIdentity(Trim(a)) == FoldIdentity(Trim(b))
}

func foldRune(r rune) rune {
	if r == ',' || r == ':' {
		return ' '
	}
	return foldCase(r)
}

// foldCase returns the one rune that stands for all that differ from r in case
// only: the lower case of the first of them.
func foldCase(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	first := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		first = min(first, next)
	}
	if lower := unicode.ToLower(first); first != r || unicode.SimpleFold(r) != r {
		return lower
	}
	return r // such as İ, whose lower case is no variant of it
}

// Reserved reports whether a name, in any case, is one of the parameters that
// every request or import line is made of. A property can never have it.
func Reserved(name string) bool {
	if len(name) < 2 || name[0] != '_' {
		return false
	}
	switch Fold(name) {
	case "_k", "_p", "_n", "_t", "_d", "_p2":
		return true
	}
	return false
}

// Protocol reports whether a name, in any case, is one that Kissmetrics' own
// clients send beside the properties. It is a parameter of the request rather
// than a property of the person.
func Protocol(name string) bool {
	if len(name) < 2 || name[0] != '_' {
		return false
	}
	switch Fold(name) {
	case "_c", "_u", "_umid", "_ip", "_ua", "_server_timestamp":
		return true
	}
	return false
}

// Blank reports whether nothing of a text can be seen: it is empty, or holds
// only blanks of any script, control characters and marks without a shape.
func Blank(s string) bool {
	return s == "" || (s[0] <= ' ' || s[0] >= 0x7f) && Trim(s) == ""
}

// Trim returns a text without what [Blank] takes for nothing at its ends.
func Trim(s string) string { return strings.TrimFunc(s, isBlank) }

func isBlank(r rune) bool {
	if r < utf8.RuneSelf {
		return r <= ' ' || r == 0x7f
	}
	return unicode.IsSpace(r) || unicode.IsControl(r) ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// TooLong reports whether a name or identity has more characters than
// Kissmetrics keeps.
func TooLong(s string) bool { return Longer(s, MaxChars) }

// Longer reports whether a text has more than limit characters.
func Longer(s string, limit int) bool {
	return len(s) > limit && (len(s)/utf8.UTFMax > limit || utf8.RuneCountInString(s) > limit)
}

// Cut returns the first characters of a text: all of them, or as many as limit
// says. What is cut does not keep the rest in memory.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for i := range s {
		if limit == 0 {
			return strings.Clone(s[:i])
		}
		limit--
	}
	return s
}

// Valid returns a text with every run of invalid UTF-8 replaced by U+FFFD.
func Valid(s string) string {
	var bits byte // one pass over a short text costs less than a call
	for i := range min(len(s), 32) {
		bits |= s[i]
	}
	if bits < utf8.RuneSelf && len(s) <= 32 || utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
