package reconcile

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// foldName returns a name as it is compared.
func foldName(s string) string { return withoutDot(name.Fold(s)) }

// foldIdentity returns an identity as it is compared.
func foldIdentity(s string) string { return withoutDot(name.FoldIdentity(s)) }

// withoutDot returns a folded text with i for İ, which some programs write in lower case
// as i and others as i with a combining dot. A fold leaves it alone, since for a name
// that is sent it is another letter.
func withoutDot(s string) string {
	const capital, dot = "İ", "\u0307"
	if strings.Contains(s, capital) {
		s = strings.ReplaceAll(s, capital, "i")
	}
	if strings.Contains(s, dot) {
		s = strings.ReplaceAll(s, "i"+dot, "i")
	}
	return s
}

// A value is one of a property.
type value struct {
	text   string
	number bool // rather than a text
}

// is reports whether an exported text is the value that was sent. A number may come
// back in another way: 1000 for 1000.0 or 1e3. A text may not: a version 1.10 is
// another than 1.1.
func (v value) is(exported string) bool {
	return v.text == exported || v.number && sameNumber(v.text, exported)
}

// isCut reports whether an exported text is what was left of the value.
func (v value) isCut(exported string) bool {
	return len(exported) < len(v.text) && exported != "" && strings.HasPrefix(v.text, exported) &&
		utf8.RuneCountInString(v.text) > name.MaxValueChars
}

// sameNumber reports whether two texts are the same number, as JSON writes numbers.
func sameNumber(a, b string) bool {
	x, ok := parseDecimal(a)
	y, too := parseDecimal(b)
	return ok && too && x == y
}

// A decimal is a number: digits, neither of whose ends is a zero, times a power of ten.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

func parseDecimal(s string) (d decimal, ok bool) {
	rest, negative := strings.CutPrefix(s, "-")
	mantissa, power := rest, "0"
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa, power = rest[:i], rest[i+1:]
	}
	whole, fraction, hasPoint := strings.Cut(mantissa, ".")
	exponent, err := strconv.ParseInt(power, 10, 32)
	switch {
	case err != nil, !isDigits(whole), hasPoint && !isDigits(fraction), len(whole) > 1 && whole[0] == '0':
		return d, false
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	d.digits = strings.TrimRight(digits, "0")
	if d.digits != "" { // zero has neither sign nor power
		d.negative, d.exponent = negative, int(exponent)-len(fraction)+len(digits)-len(d.digits)
	}
	return d, true
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
