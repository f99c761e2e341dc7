// Package decimal writes numbers in plain decimal, without an exponent and
// without zeros that say nothing: 42.0 is "42", 1e3 is "1000", -0 is "0".
package decimal

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// IsNumber reports whether s is a number as JSON writes it, without an exponent.
func IsNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, hasFraction := strings.Cut(s, ".")
	return isDigits(whole) && (whole == "0" || whole[0] != '0') && (!hasFraction || isDigits(fraction))
}

// Plain returns a number of JSON in plain decimal; ok is false for what is no
// number, or one of more than limit bytes.
func Plain(s string, limit int) (plain string, ok bool) {
	exponent := strings.IndexAny(s, "eE")
	if exponent < 0 {
		if !IsNumber(s) || len(s) > limit {
			return "", false
		}
		return withoutZeros(s), true
	}
	mantissa := s[:exponent]
	shift, err := strconv.Atoi(s[exponent+1:])
	if err != nil && !errors.Is(err, strconv.ErrRange) { // then it is the largest there is
		return "", false
	}
	if !IsNumber(mantissa) || len(mantissa) > limit {
		return "", false
	}
	unsigned, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(unsigned, ".")
	if strings.Trim(whole+fraction, "0") == "" {
		return "0", true // whatever the exponent is
	}
	if shift > limit || shift < -limit {
		return "", false
	}
	whole, fraction = shifted(whole, fraction, shift)
	plain = tidy(whole, fraction, negative)
	return plain, len(plain) <= limit
}

// withoutZeros returns a number without an exponent as [Plain] does. It is a part of s.
func withoutZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// shifted moves the point of a number to the right, or to the left.
func shifted(whole, fraction string, places int) (w, f string) {
	if places >= 0 {
		fraction += strings.Repeat("0", max(0, places-len(fraction)))
		return whole + fraction[:places], fraction[places:]
	}
	whole = strings.Repeat("0", max(0, -places-len(whole))) + whole
	at := len(whole) + places
	return whole[:at], whole[at:] + fraction
}

// tidy returns the number of the given digits without zeros that say nothing.
func tidy(whole, fraction string, negative bool) string {
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if whole == "" {
		whole = "0"
	}
	switch {
	case fraction != "":
		whole += "." + fraction
	case whole == "0":
		return whole
	}
	if negative {
		return "-" + whole
	}
	return whole
}

// Cut returns a plain number with at most limit characters, by leaving out the
// last digits of its fraction. ok is false if digits before the point would go.
func Cut(s string, limit int) (cut string, ok bool) {
	if len(s) <= limit {
		return s, true
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) > limit {
		return "", false
	}
	fraction = fraction[:max(0, min(len(fraction), limit-len(whole)-1))]
	unsigned, negative := strings.CutPrefix(whole, "-")
	return tidy(unsigned, fraction, negative), true
}

// AppendFloat appends a finite number in the fewest digits that mean it among
// floats of so many bits.
func AppendFloat(dst []byte, v float64, bits int) []byte {
	if v == 0 {
		v = 0 // rather than -0
	}
	return strconv.AppendFloat(dst, v, 'f', -1, bits)
}

// AppendSeconds appends a duration in decimal seconds.
func AppendSeconds(dst []byte, d time.Duration) []byte {
	whole, nanos := int64(d/time.Second), int64(d%time.Second)
	if d < 0 {
		dst = append(dst, '-')
		whole, nanos = -whole, -nanos
	}
	dst = strconv.AppendInt(dst, whole, 10)
	if nanos == 0 {
		return dst
	}
	digits := strconv.FormatInt(int64(time.Second)+nanos, 10) // with a leading 1, for the zeros after it
	return append(append(dst, '.'), strings.TrimRight(digits[1:], "0")...)
}

// BigInt returns a whole number; ok is false if it takes more than limit bytes.
func BigInt(v *big.Int, limit int) (plain string, ok bool) {
	if v.BitLen() > 4*limit { // of more than so many digits, which take long to find
		return "", false
	}
	plain = v.String()
	return plain, len(plain) <= limit
}

// BigFloat returns a number in the fewest digits that mean it; ok is false if
// it is infinite or takes more than limit bytes.
func BigFloat(v *big.Float, limit int) (plain string, ok bool) {
	// Ten bits are three digits. A larger exponent would fill the memory.
	if exponent := v.MantExp(nil); v.IsInf() || exponent > 4*limit || exponent < -4*limit {
		return "", false
	}
	plain = v.Text('f', -1)
	if v.Sign() == 0 {
		plain = "0"
	}
	return plain, len(plain) <= limit
}

// BigRat returns a fraction exactly if it has an end in decimal, and otherwise
// to at least 19 digits; ok is false if it takes more than limit bytes.
func BigRat(v *big.Rat, limit int) (plain string, ok bool) {
	if v.Num().BitLen() > 4*limit || v.Denom().BitLen() > 4*limit {
		return "", false
	}
	if places, exact := v.FloatPrec(); exact && places <= limit {
		plain = v.FloatString(places)
		return plain, len(plain) <= limit
	}
	const bits = 64 // 19 digits
	return BigFloat(new(big.Float).SetPrec(uint(max(bits, v.Num().BitLen()))).SetRat(v), limit)
}

// isDigits reports whether s is one or more decimal digits.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
