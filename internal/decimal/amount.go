package decimal

import (
	"strings"
	"unicode"
)

// Amount returns an amount of money as a plain number. ok is false for a text
// that is none, or whose meaning is in doubt; a wrong amount is worse than none.
//
// An amount has digits, of one script, and a dot before the fraction. Commas,
// apostrophes or spaces may stand between the thousands, or between lakhs and
// crores. A sign may stand before or after the currency, or at the very end;
// parentheses mean less than zero. One currency may stand before the number,
// after it or both: a symbol, with the letters of its country, an abbreviation
// in common use, or a code of ISO 4217. The exponent of a program is understood.
//
// In doubt is a comma before any number of digits but three, since half of the
// world writes fractions with it; a single dot before exactly three digits
// ("1.234"), which are thousands to the same half; a percentage; and a number of
// cents ("12¢").
func Amount(s string) (amount string, ok bool) {
	const most = 100 // bytes; the largest amounts of all scripts have fewer
	if len(s) > most {
		return "", false
	}
	if s, ok = ascii(s); !ok {
		return "", false
	}
	s, negative, ok := bare(s)
	if !ok {
		return "", false
	}
	if plain, isJSON := exponential(s); isJSON {
		return signed(plain, negative), true
	}
	whole, fraction, hasPoint := strings.Cut(s, ".")
	if whole == "" && fraction == "" {
		return "", false
	}
	grouped := strings.IndexFunc(whole, isSeparator) >= 0
	if whole, ok = ungrouped(whole); !ok {
		return "", false
	}
	exact := strings.TrimPrefix(fraction, arabicPoint)
	switch {
	case hasPoint && exact != "" && !isDigits(exact):
		return "", false
	case len(exact) == 3 && exact == fraction && !grouped && len(whole) <= 3 && whole != "" && whole[0] != '0':
		return "", false
	}
	return tidy(whole, exact, negative), true
}

// Marks of a text that has been brought to ASCII. They are no ASCII themselves,
// so that no text holds them by chance.
const (
	separator   = '\u00a0' // any space between thousands
	arabicPoint = "\u066b" // follows the point where it can be no separator
)

// ascii returns a text with the digits, signs, points and spaces of other
// scripts as their ASCII ones; ok is false if digits of two scripts are mixed.
func ascii(s string) (text string, ok bool) {
	var b strings.Builder
	script := rune(-1)
	for _, r := range s {
		zero := zeroOf(r)
		switch {
		case zero >= 0:
			if script >= 0 && script != zero {
				return "", false
			}
			script = zero
			b.WriteRune('0' + r - zero)
		case r == '\u066b': // Arabic decimal separator
			b.WriteString("." + arabicPoint)
		case r == '\u066c': // Arabic thousands separator
			b.WriteByte(',')
		case r == '\u2212', r == '\uff0d', r == '\ufe63': // minus, also full-width and small
			b.WriteByte('-')
		case r == '\u2019', r == '\u02bc', r == '\uff07': // apostrophes
			b.WriteByte('\'')
		case '\uff01' <= r && r <= '\uff5e': // full-width forms of ASCII
			b.WriteRune(r - '\uff01' + '!')
		case unicode.IsSpace(r):
			b.WriteRune(separator)
		case unicode.Is(unicode.Cf, r): // marks of direction, as beside Arabic numbers
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), true
}

// zeroOf returns the zero of the script that a digit is of, or -1.
func zeroOf(r rune) rune {
	for _, zero := range [...]rune{'0', '\u0660', '\u06f0', '\u0966', '\u09e6', '\u0e50', '\uff10'} {
		if zero <= r && r <= zero+9 {
			return zero
		}
	}
	return -1
}

// bare returns a number without its sign and currency.
func bare(s string) (number string, negative, ok bool) {
	s = trim(s)
	signs := 0
	sign := func() {
		for _, c := range [...]string{"-", "+"} {
			if rest, found := strings.CutPrefix(s, c); found {
				s, negative, signs = trim(rest), negative || c == "-", signs+1
			}
		}
	}
	parentheses := func() {
		if len(s) > 2 && s[0] == '(' && s[len(s)-1] == ')' {
			s, negative, signs = trim(s[1:len(s)-1]), true, signs+1
		}
	}
	parentheses()
	sign()
	s, found := withoutCurrency(s)
	if found {
		parentheses()
		sign()
	}
	s = strings.TrimSuffix(s, "/-") // behind rupees, instead of a fraction
	if rest, trailing := strings.CutSuffix(s, "-"); trailing && !strings.HasSuffix(rest, ".") {
		s, negative, signs = trim(rest), true, signs+1
	}
	return s, negative, signs <= 1
}

func trim(s string) string { return strings.Trim(s, string(separator)) }

// exponential returns a number without a sign that a program wrote with an exponent.
func exponential(s string) (plain string, ok bool) {
	if !strings.ContainsAny(s, "eE") || strings.HasPrefix(s, "-") {
		return "", false
	}
	return Plain(s, 64)
}

func signed(plain string, negative bool) string {
	if negative && plain != "0" {
		return "-" + plain
	}
	return plain
}

func isSeparator(r rune) bool { return r == ',' || r == '\'' || r == separator }

// ungrouped returns the digits before the point without what stands between
// groups of them.
func ungrouped(s string) (digits string, ok bool) {
	at := strings.IndexFunc(s, isSeparator)
	if at < 0 {
		return s, s == "" || isDigits(s)
	}
	mark := string([]rune(s[at:])[0])
	groups := strings.Split(s, mark)
	first, last := groups[0], groups[len(groups)-1]
	size := 3 // of a group in the middle
	if len(groups) > 2 {
		size = len(groups[1]) // 2 in India, where only the last group has 3
	}
	if first == "" || first[0] == '0' || len(first) > size || len(last) != 3 || size < 2 || size > 3 {
		return "", false
	}
	for i, group := range groups {
		if !isDigits(group) || i > 0 && i < len(groups)-1 && len(group) != size {
			return "", false
		}
	}
	return strings.Join(groups, ""), true
}
