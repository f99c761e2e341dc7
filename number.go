package kissmetrics

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// isNumber reports whether s is a number as JSON writes it, without an exponent.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, hasFraction := strings.Cut(s, ".")
	return digits(whole) && (whole == "0" || whole[0] != '0') && (!hasFraction || digits(fraction))
}

// digits reports whether s is one or more decimal digits.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// plainNumber returns a number of JSON without its exponent, and otherwise with
// the digits it has; ok is false for what is no number, or one that takes more
// than a value's bytes to write.
func plainNumber(s string) (plain string, ok bool) {
	if len(s) > maxValueBytes {
		return "", false
	}
	if isNumber(s) {
		return s, true
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	shift, err := strconv.Atoi(exponent)
	if err != nil || !isNumber(mantissa) || shift > maxValueBytes || shift < -maxValueBytes {
		return "", false
	}
	sign := ""
	if mantissa[0] == '-' {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if shift >= 0 {
		fraction += strings.Repeat("0", max(0, shift-len(fraction)))
		whole, fraction = whole+fraction[:shift], fraction[shift:]
	} else {
		whole = strings.Repeat("0", max(0, -shift-len(whole)+1)) + whole
		at := len(whole) + shift
		whole, fraction = whole[:at], whole[at:]+fraction
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		whole += "." + fraction
	}
	if whole == "0" {
		sign = ""
	}
	return sign + whole, true
}

// appendFloat appends a finite number in the fewest digits that mean it, and
// without an exponent.
func appendFloat(b []byte, v float64, bits int) []byte {
	// Prices have two decimals at most. Where the hundredths are a whole number
	// small enough to be exact, their digits are the fewest there are.
	if cents := math.Round(v * 100); bits == 64 && math.Abs(cents) < 1<<49 && cents/100 == v {
		whole, rest := int64(cents)/100, int64(math.Abs(cents))%100
		if whole == 0 && cents < 0 {
			b = append(b, '-')
		}
		b = strconv.AppendInt(b, whole, 10)
		if rest != 0 {
			b = append(b, '.', byte('0'+rest/10))
		}
		if rest%10 != 0 {
			b = append(b, byte('0'+rest%10))
		}
		return b
	}
	return strconv.AppendFloat(b, v, 'f', -1, bits)
}

// appendSeconds appends a duration in decimal seconds.
func appendSeconds(b []byte, d time.Duration) []byte {
	whole, nanos := int64(d/time.Second), int64(d%time.Second)
	if d < 0 {
		b = append(b, '-')
		whole, nanos = -whole, -nanos
	}
	b = strconv.AppendInt(b, whole, 10)
	if nanos == 0 {
		return b
	}
	b = fmt.Appendf(b, ".%09d", nanos)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// parseAmount returns an amount of money as a plain number: without a currency
// symbol or three-letter code before or after it, without commas between
// thousands, and without zeros that say nothing. ok is false for what is no
// amount.
func parseAmount(s string) (amount string, ok bool) {
	s = strings.TrimSpace(s)
	negative := false
	// The sign stands before or after the symbol.
	for range 2 {
		if rest, found := strings.CutPrefix(s, "-"); found && !negative {
			s, negative = strings.TrimSpace(rest), true
		}
		s = trimCurrency(s)
	}
	whole, fraction, hasFraction := strings.Cut(s, ".")
	if groups := strings.Split(whole, ","); len(groups) > 1 {
		for i, group := range groups {
			if len(group) != 3 && (i > 0 || len(group) == 0 || len(group) > 3) {
				return "", false
			}
		}
		whole = strings.Join(groups, "")
	}
	if whole == "" && hasFraction {
		whole = "0"
	}
	if !digits(whole) || hasFraction && !digits(fraction) {
		return "", false
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		whole += "." + fraction
	}
	if negative && whole != "0" {
		whole = "-" + whole
	}
	return whole, true
}

// trimCurrency returns s without the currency symbol or code at its start or
// end, and without the spaces that go with it.
func trimCurrency(s string) string {
	s = strings.TrimFunc(s, func(c rune) bool { return unicode.Is(unicode.Sc, c) })
	s = strings.TrimSpace(s)
	if len(s) > 3 && isCode(s[:3]) {
		s = strings.TrimSpace(s[3:])
	}
	if len(s) > 3 && isCode(s[len(s)-3:]) {
		s = strings.TrimSpace(s[:len(s)-3])
	}
	return s
}

// isCode reports whether s looks like a currency code, such as USD.
func isCode(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}
